"""What the image runs after power-up: the user's /main.py where there is one, else the board listens.

While the pin of the safe mode is held to ground it runs nothing: the prompt is there at once.
"""

import os

import micropython
from board_toml import SAFE_MODE


def _held_down():
    from machine import Pin

    return not Pin(SAFE_MODE["pin"], Pin.IN, Pin.PULL_UP).value()


def _exists(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True


micropython.kbd_intr(-1)  # a host's first frame may hold the byte that is Ctrl-C
if "pin" in SAFE_MODE and _held_down():
    micropython.kbd_intr(3)
    print("stapes: safe mode: nothing runs; free the pin, then Ctrl-D starts the board again")
elif _exists("/main.py"):
    micropython.kbd_intr(3)
    execfile("/main.py")  # noqa: F821 (MicroPython's)
else:
    try:
        from stapes.startup import run

        run()
    finally:
        micropython.kbd_intr(3)
