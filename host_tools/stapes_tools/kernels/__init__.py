"""The kernels on this computer: one function per line of firmware/bindings/st_methods.h.

    from stapes_tools import kernels
    state = bytearray(kernels.frontend_size())

The library is built and opened at the first use of a method. `install()` makes it importable as
`stapes_kernels`, the name under which the board package looks for native code.
"""

from __future__ import annotations

import sys
import types

from . import binding
from .binding import METHODS

__all__ = ["METHODS", "install"]


def __getattr__(name: str):
    if name not in METHODS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = binding.function(name)
    return found


def install() -> types.ModuleType:
    """Register the kernels as the module `stapes_kernels` and return it.

    Raises:
        BuildError: the library had to be built and could not be.
    """
    module = sys.modules.get("stapes_kernels")
    if module is None:
        binding.library()
        module = types.ModuleType("stapes_kernels", __doc__)
        here = sys.modules[__name__]
        module.__getattr__ = lambda name: getattr(here, name)  # type: ignore[method-assign]
        sys.modules["stapes_kernels"] = module
    return module
