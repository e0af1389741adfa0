"""The shipped models: which grammar gets which, and that each is what its card and its recipe promise."""

from pathlib import Path

import numpy as np
import pytest
from stapes_tools import models
from stapes_tools.convert import checkpoint
from stapes_tools.convert.inspect import describe, totals
from stapes_tools.errors import UserError
from stapes_tools.models import REPO, default_model

SHIPPED = ("general", "coffee")
LARGEST_BYTES = 400_000
MOST_WEIGHTS = 800_000
FEWEST_ZEROS = 0.7
MATRICES = ("front", "pointwise", "projection")


@pytest.mark.parametrize(
    ("grammar", "name"),
    [
        ("coffee.yaml", "coffee"),
        ("coffee_maker.yaml", "coffee"),
        ("lights.stg", "general"),
        ("coffeeshop.yaml", "general"),
    ],
)
def test_a_grammar_gets_the_model_adapted_to_it(grammar, name):
    assert default_model(Path("anywhere") / grammar) == REPO / "models" / name / "model.tflite"


def test_without_models_it_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_MODELS", tmp_path)
    with pytest.raises(UserError, match="train one: make train-general"):
        default_model(Path("coffee.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_keeps_its_size_and_its_zeros(name):
    data = (REPO / "models" / name / "model.tflite").read_bytes()
    assert len(data) <= LARGEST_BYTES
    assert totals(describe(data)).weights <= MOST_WEIGHTS
    folder = REPO / "models" / name
    (last, *_) = [path for stage in reversed(checkpoint.STAGES) if (path := folder / f"{stage}.npz").exists()]
    saved = checkpoint.load(last)
    weights = [value for key, value in saved.parameters.items() if not key.endswith("bias")]
    zeros = sum(int(np.count_nonzero(value == 0)) for value in weights)
    assert zeros / sum(value.size for value in weights) >= FEWEST_ZEROS


@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_names_what_the_rules_ask_for(name):
    card = (REPO / "models" / name / "CARD.md").read_text()
    for word in ("Licence", "seed", "commit", "stapes eval", "speechocean762", "barista_dev", "%"):
        assert word in card, word
    assert (REPO / "models" / name / "curves.png").stat().st_size > 5000
