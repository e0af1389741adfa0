"""The program that the host starts on a board."""

import json

MODEL_ON_BOARD = "/rom/model.tflite"
GRAMMAR_ON_BOARD = "/rom/grammar.stg"


# UART 1 on the pins that docs/link.md names. The window's frames must find room while a step is recognised.
UART = 1
_UART = f"UART({UART}, 921600, tx=Pin(4), rx=Pin(5), rxbuf=4608, txbuf=2048, timeout=0)"


def uart_program(model: str, grammar: str) -> str:
    """Return MicroPython source that serves a UART, for ever.

    Args:
        model, grammar: paths on the board.
    """
    imports = (
        "from machine import UART, Pin; from stapes.transport import UartTransport; from stapes.service import main"
    )
    return f"{imports}; main({json.dumps(model)}, {json.dumps(grammar)}, -1, UartTransport({_UART}))"


def service_program(model: str, grammar: str, idle_ms: int | None = None) -> str:
    """Return MicroPython source that serves standard input and output.

    Args:
        model, grammar: paths on the board.
        idle_ms: how long the board waits for its host; -1 for ever, None as the board thinks best.
    """
    arguments = [json.dumps(model), json.dumps(grammar), *([] if idle_ms is None else [str(idle_ms)])]
    return f"from stapes.service import main; main({', '.join(arguments)})"


def microphone_program(model: str, grammar: str) -> str:
    """Return MicroPython source that serves standard input and output, and hears the board's microphone when told to.

    Args:
        model, grammar: paths on the board.
    """
    return f"from stapes.microphone_service import main; main({json.dumps(model)}, {json.dumps(grammar)})"
