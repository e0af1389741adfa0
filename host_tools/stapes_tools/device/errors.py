"""What can go wrong with builds and boards, and the exit code it ends in."""

from ..errors import BoardError, StapesError, UserError

__all__ = ["BoardError", "BuildError", "DeviceError"]


class DeviceError(UserError):
    """The request cannot be met here: unknown board, no compiler, no sources (exit code 2)."""


class BuildError(StapesError):
    """A build that should have worked did not (exit code 3); the text ends with the tool's last lines."""

    exit_code = 3
