"""A training recipe: a TOML file read into dataclasses; unknown keys are refused."""

import difflib
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from stapes_tools.errors import UserError


@dataclass(frozen=True)
class Synthetic:
    """Sentences and the engines that speak them: engine -> utterances."""

    name: str
    seed: int
    engines: dict[str, int]
    grammars: dict[str, int] = field(default_factory=dict)
    transcripts: bool = False
    random_words: int = 0
    random_sentences: int = 0


@dataclass(frozen=True)
class Data:
    """Where speech, noise and rooms come from."""

    root: str
    recorded: list[str]
    noises: list[str]
    rooms: list[str]
    copies: int
    processes: int
    longest_s: float
    synthetic: list[Synthetic]
    extra_words: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """Sizes of the network."""

    channels: int
    blocks: int
    width: int
    joint: int


@dataclass(frozen=True)
class Training:
    """The optimiser's settings and schedule; shares are of the minutes."""

    minutes: float
    steps_per_batch: int
    learning_rate: float
    warmup_batches: int
    weight_decay: float
    decay_share: float
    ctc_share: float
    ctc_weight: float
    short_first_share: float
    masking_share: float
    ema: float
    checkpoint_minutes: float


@dataclass(frozen=True)
class Recipe:
    """All of a recipe file."""

    seed: int
    data: Data
    model: Model
    training: Training


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        UserError: missing, not TOML, an unknown or a missing key.
    """
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such recipe") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not a TOML file: {error}") from None
    table["data"] = dict(table.get("data", {}))
    table["data"]["synthetic"] = [_fill(Synthetic, row, path) for row in table["data"].get("synthetic", [])]
    for key, kind in (("data", Data), ("model", Model), ("training", Training)):
        table[key] = _fill(kind, table.get(key, {}), path)
    return _fill(Recipe, table, path)


def _fill(kind, table: dict, path: Path):
    names = {item.name for item in fields(kind)}
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{path}: unknown key {key!r} in [{kind.__name__.lower()}]{hint}")
    try:
        return kind(**table)
    except TypeError as error:
        raise UserError(f"{path}: [{kind.__name__.lower()}] {str(error).partition(') ')[2]}") from None
