"""The one error class of the board package; codes and texts come from the specification."""

import stapes_spec as spec


class StapesError(Exception):
    """What is wrong, where, and what to do about it: one line.

    Attributes:
        code: int, of spec.ERRORS.
        name: str, the code's name.
        fault: str, "user" or "board".
        text: str, what is wrong.
        advice: str, what to do.
        where: str, the file or part concerned; may be empty.
        detail: str, evidence such as an operator's number; may be empty.
    """

    def __init__(self, code, where="", detail=""):
        if code not in spec.ERRORS:
            detail = "error code %d" % code
            code = spec.ERROR_INTERNAL
        self.code = code
        self.name, self.fault, self.text, self.advice = spec.ERRORS[code]
        self.where = where
        self.detail = detail
        super().__init__(str(self))

    def __str__(self):
        where = self.where + ": " if self.where else ""
        detail = " (" + self.detail + ")" if self.detail else ""
        return where + self.text + detail + "; " + self.advice


def check(result, where="", detail=""):
    """Return a kernel's result, or raise what its negative value says.

    Args:
        result: int a kernel returned.
        where: str, the file concerned.
        detail: str, evidence to show.
    Raises:
        StapesError: result is negative.
    """
    if result < 0:
        raise StapesError(-result, where, detail)
    return result
