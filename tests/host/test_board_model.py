"""What goes into a board's flash: models without their zeros, everything else as it is."""

import pytest
from stapes_tools.convert.pack import densify
from stapes_tools.device.board_model import model_for_board
from stapes_tools.errors import UserError
from stapes_tools.models import REPO


def test_a_shipped_model_shrinks_and_stays_the_same():
    path = REPO / "models" / "general" / "model.tflite"
    packed = model_for_board(path)
    assert len(packed) < 0.6 * path.stat().st_size
    assert densify(packed)[0] == path.read_bytes()


def test_what_is_no_model_goes_on_as_it_is(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"no model")
    assert model_for_board(tmp_path / "a.tflite") == b"no model"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.tflite: cannot be read"):
        model_for_board(tmp_path / "a.tflite")
