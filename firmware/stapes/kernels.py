"""The kernel module: native code where the board has it, else the reference in plain Python.

Attributes:
    native: module, the method table of docs/kernels_api.md.
    NAME: str, "stapes_kernels" or "stapes_reference".
"""

try:
    import stapes_kernels as native

    NAME = "stapes_kernels"
except ImportError:
    import stapes_reference as native  # noqa: F401

    NAME = "stapes_reference"
