"""The branches of a model file: which subgraphs they are, and that they fit each other.

Whichever branch ran last wrote the states that the next one reads, so both must agree on every tensor that goes
in or out (docs/model_file.md).
"""

from collections.abc import Sequence

from stapes_tools.convert.graph import Subgraph, Tensor
from stapes_tools.convert.grid import LOGIT_SCALE
from stapes_tools.errors import UserError

HEAVY, LIGHT, ARBITRATOR = "encoder", "encoder_light", "arbitrator"


def check_branches(subgraphs: Sequence[Subgraph]) -> None:
    """Refuse branches that do not fit each other; a model without branches is fine.

    Raises:
        UserError: a part is missing, or tensors differ in number, shape, type, scale or zero point; names both values.
    """
    parts = {subgraph.name: subgraph for subgraph in subgraphs}
    if LIGHT not in parts and ARBITRATOR not in parts:
        return
    for name in (HEAVY, LIGHT, ARBITRATOR):
        if name not in parts:
            raise UserError(
                f"branches: there is no subgraph {name}", advice="a model has all three or the encoder alone"
            )
    for kind in ("inputs", "outputs"):
        heavy, light = (_tensors(parts[name], kind) for name in (HEAVY, LIGHT))
        if len(heavy) != len(light):
            raise UserError(f"branches: {HEAVY} has {len(heavy)} {kind}, {LIGHT} has {len(light)}")
        for number, pair in enumerate(zip(heavy, light, strict=True)):
            _compare(f"{kind[:-1]} {number}", HEAVY, LIGHT, *pair)
    features, heard, logits = (
        _tensors(parts[name], kind)
        for name, kind in ((HEAVY, "inputs"), (ARBITRATOR, "inputs"), (ARBITRATOR, "outputs"))
    )
    if not features or not heard or not logits:
        raise UserError(f"branches: {HEAVY} or {ARBITRATOR} has no input or no output", advice=_ADVICE)
    _compare("input 0", HEAVY, ARBITRATOR, features[0], heard[0])
    wanted = Tensor("", (1, 1, 1, 1), "int8", (LOGIT_SCALE.scale,), (LOGIT_SCALE.zero_point,))
    _compare("the logit", "the specification", ARBITRATOR, wanted, logits[0])


_ADVICE = "make them alike"


def _tensors(subgraph: Subgraph, kind: str) -> list[Tensor]:
    return [subgraph.tensors[index] for index in getattr(subgraph, kind)]


def _compare(place: str, first: str, second: str, a: Tensor, b: Tensor) -> None:
    for what in ("shape", "dtype", "scale", "zero_point"):
        one, other = getattr(a, what), getattr(b, what)
        if one != other:
            words = what.replace("_", " ").replace("dtype", "type")
            raise UserError(f"branches: {place} has {words} {one} in {first}, {other} in {second}", advice=_ADVICE)
