"""A recipe is read by those who have no training tools yet, so that what is wrong with either is said in one line."""

import subprocess
import sys

_HIDDEN = """
import sys
for name in ("scipy", "keras", "tensorflow"):
    sys.modules[name] = None
from stapes_tools.cli.main import main
sys.argv = ["stapes", "train", sys.argv[1]]
sys.exit(main())
"""


def _train(recipe):
    done = subprocess.run([sys.executable, "-c", _HIDDEN, recipe], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_recipe_that_is_not_there_is_named_without_training_tools():
    code, said = _train("nowhere.toml")
    assert code == 2 and said.startswith("stapes: nowhere.toml: ") and said.count("\n") == 1
