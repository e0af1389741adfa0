"""What the image runs after power-up: the user's /main.py where there is one, else the board listens."""

import os


def _exists(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True


if _exists("/main.py"):
    execfile("/main.py")  # noqa: F821 (MicroPython's)
else:
    from stapes.startup import run

    run()
