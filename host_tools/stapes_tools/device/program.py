"""The program that the host starts on a board."""

import json

MODEL_ON_BOARD = "/rom/model.tflite"
GRAMMAR_ON_BOARD = "/rom/grammar.stg"


def service_program(model: str, grammar: str) -> str:
    """Return MicroPython source that serves standard input and output.

    Args:
        model, grammar: paths on the board.
    """
    return f"from stapes.service import main; main({json.dumps(model)}, {json.dumps(grammar)})"
