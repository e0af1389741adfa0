"""Which phrases an evaluation takes for likely: the same for every recording, or its own labels among others."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UserError
from .folder import Utterance


@dataclass(frozen=True)
class Likely:
    """How the context of a recording is made.

    Attributes:
        phrases: likely in every recording.
        distractors: each recording's own labelled values are likely, and so many others of the folder; None: no labels.
        boost: nats for each word; None: as a board has it.
    """

    phrases: tuple[str, ...] = ()
    distractors: int | None = None
    boost: float | None = None

    def __bool__(self) -> bool:
        return bool(self.phrases) or self.distractors is not None

    def contexts(self, utterances: Sequence[Utterance]) -> list[tuple[str, ...]]:
        """Return the phrases of each utterance. Equal folders give equal phrases.

        Raises:
            UserError: labels are wanted, and there are none.
        """
        if self.distractors is None:
            return [self.phrases] * len(utterances)
        values = sorted({value for utterance in utterances for value in (utterance.slots or {}).values()})
        if not values:
            raise UserError("no recording of the folder has labelled values", advice="give --context FILE.txt instead")
        return [self.phrases + _among_others(utterance, values, self.distractors) for utterance in utterances]


NOTHING_LIKELY = Likely()


def _among_others(utterance: Utterance, values: Sequence[str], count: int) -> tuple[str, ...]:
    own = list(dict.fromkeys((utterance.slots or {}).values()))
    others = [value for value in values if value not in own]
    random.Random(utterance.name).shuffle(others)
    return (*own, *others[:count])
