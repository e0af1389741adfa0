"""Load the host build of the kernels and make a Python function of each method.

The method table is firmware/bindings/st_methods.h; every method has the C signature
`int32_t stk_NAME(const st_arg_t *args)`. See docs/kernels_api.md for their meaning.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

import cffi

METHOD_TABLE = Path(__file__).resolve().parents[3] / "firmware" / "bindings" / "st_methods.h"
LIBRARY_VARIABLE = "STAPES_KERNELS_LIB"
STRUCTURE = "typedef struct { uint8_t *data; uint32_t length; int32_t value; } st_arg_t;"
KINDS = {"r": "a readable buffer", "w": "a writable buffer", "i": "an integer"}

_FFI = cffi.FFI()


def parse_methods(text: str) -> dict[str, str]:
    """Return {name: signature} of every ST_METHOD line of the method table's text."""
    return dict(re.findall(r'^ST_METHOD\((\w+), "([rwi]*)"\)$', text, re.M))


METHODS = parse_methods(METHOD_TABLE.read_text())


def library_path() -> str:
    """Return the library's path: what STAPES_KERNELS_LIB names, else the one that is built here.

    Raises:
        BuildError: it had to be built and could not be.
    """
    from .build import build_host  # here, so that `python -m stapes_tools.kernels.build` imports it once

    return str(Path(os.environ.get(LIBRARY_VARIABLE) or build_host()).resolve())


@functools.cache
def library() -> cffi.FFI:
    """Open the kernel library, once.

    Raises:
        BuildError: it had to be built and could not be.
        OSError: STAPES_KERNELS_LIB names no library.
    """
    _FFI.cdef(STRUCTURE + "".join(f"int32_t stk_{name}(const st_arg_t *);" for name in METHODS))
    # Lazily bound: a library that lacks one kernel still serves the others.
    return _FFI.dlopen(library_path(), _FFI.RTLD_LAZY)


def _refuse(name: str, signature: str, arguments: tuple, error: Exception) -> TypeError:
    """Say which argument of a refused call is of the wrong kind."""
    for index, (kind, argument) in enumerate(zip(signature, arguments, strict=True)):
        try:
            if kind == "i":
                _FFI.new("int32_t *", argument)
            else:
                _FFI.from_buffer("uint8_t[]", argument, require_writable=kind == "w")
        except (TypeError, BufferError, ValueError, OverflowError) as reason:
            given = type(argument).__name__
            return TypeError(f"{name}: argument {index + 1} must be {KINDS[kind]}, got {given} ({reason})")
    return TypeError(f"{name}: {error}")


def _source(name: str, signature: str) -> str:
    """Return the text of one wrapper: written out per method, because calls must be cheap."""
    names = [f"a{index}" for index in range(len(signature))]
    lines, values = [], []
    for argument, kind in zip(names, signature, strict=True):
        if kind == "i":
            values.append(f"(NULL, 0, {argument})")
        else:
            lines.append(f"b{argument} = from_buffer(BYTES, {argument}, {kind == 'w'})")
            values.append(f"(b{argument}, len(b{argument}), 0)")
    lines.append(f"return method([{', '.join(values)}])" if values else "return method(NULL)")
    body = "\n        ".join(lines)
    arguments = ", ".join(names)
    return (
        f"def {name}({arguments}):\n"
        f"    try:\n        {body}\n"
        f"    except (TypeError, BufferError, ValueError, OverflowError) as error:\n"
        f"        raise refuse('{name}', '{signature}', ({arguments}{',' if names else ''}), error) from None\n"
    )


@functools.cache
def function(name: str) -> Callable[..., int]:
    """Return the Python function of one method.

    Args:
        name: a method of st_methods.h.
    Raises:
        AttributeError: no such method, or the library lacks it.
    """
    signature = METHODS.get(name)
    if signature is None:
        raise AttributeError(f"the kernels have no method {name!r}")
    try:
        method = getattr(library(), f"stk_{name}")
    except AttributeError:
        raise AttributeError(f"the kernel library lacks the method {name!r}: build it again") from None
    scope = {
        "method": method,
        "from_buffer": _FFI.from_buffer,
        "BYTES": _FFI.typeof("uint8_t[]"),
        "NULL": _FFI.NULL,
        "refuse": _refuse,
    }
    exec(_source(name, signature), scope)  # the text is built above from the method table alone
    return scope[name]  # type: ignore[return-value]
