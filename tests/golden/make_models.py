"""Write the models of the golden vectors: tests/golden/models/NAME.tflite.

They are kept in the repository because the flatbuffer library does not promise the same bytes for ever.

Usage: python tests/golden/make_models.py
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "kernels"))

from model_audio import audio_operators  # noqa: E402  (beside the kernels' tests)
from model_branches import branched  # noqa: E402
from model_int4 import int4_layers  # noqa: E402
from model_packed import packed_layers, packed_lstm  # noqa: E402
from model_whole import whole  # noqa: E402

MODELS = {
    "every_operator": lambda: whole(0),
    "copied_state": lambda: whole(1, early_state=True),
    "int4": int4_layers,
    "packed": packed_layers,
    "audio_operators": audio_operators,
    "packed_lstm": packed_lstm,
    "branches": lambda: branched(3),
}


def main():
    """Write every model."""
    folder = HERE / "models"
    folder.mkdir(exist_ok=True)
    for name, make in MODELS.items():
        (folder / f"{name}.tflite").write_bytes(make())


if __name__ == "__main__":
    main()
