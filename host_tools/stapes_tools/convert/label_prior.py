"""Units' priors taken out of a model's scores, in its last bias: a board pays nothing for it.

A network says how likely a unit is given the sound. Where noise leaves the sound in doubt, what remains is how often
the unit was said in training; the grammar knows that better, and it would be counted twice. Hybrid recognisers divide
by the prior (Bourlard and Morgan, Connectionist Speech Recognition, 1994); here it is by a power of it. The blank is
left alone: its penalty is tuned.
"""

import struct

import numpy as np

from stapes_tools.convert.metadata import seal
from stapes_tools.convert.read import constant_range, read_model
from stapes_tools.errors import UserError

_JOINT = "joint"
_LAYERS = ("CONV_2D", "FULLY_CONNECTED")


def offsets(counts: np.ndarray, scale: float) -> np.ndarray:
    """What is added to the logits.

    Args:
        counts: int [U], how often each unit was said in training; that of the blank (the first) is not looked at.
        scale: power of the prior; 0: nothing, 1: all of it.
    Returns:
        float64 [U], nats: 0 for the blank, for the others what leaves the mean unit of training as it was.
    """
    said = np.asarray(counts, np.float64)[1:] + 1.0
    prior = said / said.sum()
    return np.concatenate([[0.0], scale * (prior @ np.log(prior) - np.log(prior))])


def with_label_prior(data: bytes, counts: np.ndarray, scale: float) -> bytes:
    """The same model file with scale times the logarithm of its units' priors taken out of its scores.

    Args:
        data: a model with a subgraph `joint` that ends in a layer of one logit per unit.
        counts, scale: see offsets; what was taken out before stays out.
    Returns:
        bytes: as many, with a new checksum.
    Raises:
        UserError: it has no such subgraph, or other units.
    """
    joint = next((part for part in read_model(data).subgraphs if part.name == _JOINT), None)
    if joint is None or joint.operators[-1].kind not in _LAYERS:
        raise UserError("the model has no joint network that ends in a layer of logits")
    last = joint.operators[-1].inputs
    hidden, weight, bias = (joint.tensors[index] for index in last)
    added = offsets(counts, scale)
    if bias.shape != added.shape:
        raise UserError(f"the model has {bias.shape[0]} units, the counts are of {len(added)}")
    steps = np.round(added / (np.float64(hidden.scale[0]) * np.asarray(weight.scale, np.float64)))
    changed = bytearray(data)
    at, _ = constant_range(data, _JOINT, last[-1])
    struct.pack_into(f"<{len(added)}i", changed, at, *(bias.array() + steps.astype(np.int64)).tolist())
    return seal(bytes(changed))
