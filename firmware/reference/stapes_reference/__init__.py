"""The kernels in plain integer Python: the tests' oracle, and what runs where no native code can.

Same methods, arguments and results as firmware/bindings/st_methods.h, bit for bit. Buffers may be
bytes, bytearray, memoryview or array; unlike the native code it allocates.
"""

from .frontend import frontend_apply, frontend_init, frontend_logmel, frontend_size, frontend_steps
from .log_softmax import log_softmax, log_softmax_table

__all__ = [
    "frontend_apply",
    "frontend_init",
    "frontend_logmel",
    "frontend_size",
    "frontend_steps",
    "log_softmax",
    "log_softmax_table",
]

# The parts below arrive as modules of their own.
try:
    from .model import *  # noqa: F403
except ImportError:
    pass
try:
    from .decoder import *  # noqa: F403
except ImportError:
    pass
