"""Errors that a user can expect: one line that names what is wrong, where, and what to do.

Anything else that escapes from the tools is a fault of Stapes and keeps its traceback.
"""

# What installs the `train` extra and the synthesisers in a clone.
TRAIN_TOOLS = "make train-tools"


class StapesError(Exception):
    """An expected failure; the command line prints it on one line and exits with exit_code.

    Args:
        what: what is wrong, a clause without a full stop.
        path: the file, device or address concerned, or None.
        advice: what to do about it, or "".
    """

    exit_code = 2

    def __init__(self, what, path=None, advice=""):
        self.what = what
        self.path = path
        self.advice = advice
        super().__init__(what, path, advice)

    def __str__(self):
        where = "" if self.path is None else "{}: ".format(self.path)
        advice = "; {}".format(self.advice) if self.advice else ""
        return "{}{}{}".format(where, self.what, advice)


class UserError(StapesError):
    """The command, a file or a recording is not right: exit code 2."""

    exit_code = 2


class BoardError(StapesError):
    """The board or the link to it failed: exit code 3."""

    exit_code = 3
