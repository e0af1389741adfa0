"""The kernels in plain integer Python: the tests' oracle, and what runs where no native code can.

Same methods, arguments and results as firmware/bindings/st_methods.h, bit for bit. Buffers may be
bytes, bytearray, memoryview or array; unlike the native code it allocates.
"""

from .audio import audio_apply, audio_init, audio_levels, audio_size
from .decoder import (
    decoder_context,
    decoder_init,
    decoder_lattice,
    decoder_partial,
    decoder_restart,
    decoder_size,
    decoder_status,
    decoder_step,
)
from .endpoint import endpoint_init, endpoint_size, endpoint_status, endpoint_step
from .frame import frame_seal, frame_take
from .frontend import frontend_apply, frontend_init, frontend_logmel, frontend_size, frontend_steps
from .graph import graph_check
from .log_softmax import log_softmax, log_softmax_table
from .model import (
    encoder_step,
    model_init,
    model_invoke,
    model_reset,
    model_size,
    model_subgraph,
    model_tensor,
    model_tensor_size,
)
from .pdm import pdm_apply, pdm_init, pdm_size
from .recognizer import recognizer_step
from .ring import ring_hear, ring_look

__all__ = [
    "audio_apply",
    "audio_init",
    "audio_levels",
    "audio_size",
    "decoder_context",
    "decoder_init",
    "decoder_lattice",
    "decoder_partial",
    "decoder_restart",
    "decoder_size",
    "decoder_status",
    "decoder_step",
    "encoder_step",
    "endpoint_init",
    "endpoint_size",
    "endpoint_status",
    "endpoint_step",
    "frame_seal",
    "frame_take",
    "frontend_apply",
    "frontend_init",
    "frontend_logmel",
    "frontend_size",
    "frontend_steps",
    "graph_check",
    "log_softmax",
    "log_softmax_table",
    "model_init",
    "model_invoke",
    "model_reset",
    "model_size",
    "model_subgraph",
    "model_tensor",
    "model_tensor_size",
    "pdm_apply",
    "pdm_init",
    "pdm_size",
    "recognizer_step",
    "ring_hear",
    "ring_look",
]
