"""The shipped models, and which one a grammar is heard with when nobody says."""

from pathlib import Path

from .errors import UserError

REPO = Path(__file__).resolve().parents[2]
_MODELS = REPO / "models"
_FILE = "model.tflite"
GENERAL = "general"


def default_model(grammar: Path) -> Path:
    """The model adapted to a grammar, else the general one.

    models/NAME belongs to the grammars NAME.yaml and NAME_*.yaml (or .stg): models/coffee to coffee.yaml
    and coffee_maker.yaml.

    Raises:
        UserError: no model is shipped.
    """
    adapted = sorted((path.parent.name for path in _MODELS.glob(f"*/{_FILE}")), key=len, reverse=True)
    for name in adapted:
        if grammar.stem == name or grammar.stem.startswith(f"{name}_"):
            return _MODELS / name / _FILE
    general = _MODELS / GENERAL / _FILE
    if not general.is_file():
        raise UserError("no such model", general, "get the whole repository, or train one: make train-general")
    return general
