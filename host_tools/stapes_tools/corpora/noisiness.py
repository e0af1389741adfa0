"""How noisy a recording is made: what a recipe says of it, for which nothing that computes sound is needed."""

from dataclasses import dataclass

SILENCE_S = (0.1, 1.0)  # without speech, before it and after it, where it is not long


@dataclass(frozen=True)
class Noisiness:
    """How often there is noise, how loud, and how long it is heard alone; and how often there is a room.

    Args:
        share: of the recordings that get noise.
        lowest_snr_db, highest_snr_db: speech over noise, uniform between them.
        at_once: up to so many noises together; with one, nothing more is drawn from rng.
        longest_silence_s: without speech, before it and after it, in three cases of ten; up to 1 s in
            the others, and in all if this is no longer.
        room_share: of the recordings that are heard in a room.
    """

    share: float = 0.65
    lowest_snr_db: float = 0.0
    highest_snr_db: float = 30.0
    at_once: int = 1
    longest_silence_s: float = SILENCE_S[1]
    room_share: float = 0.4


USUAL = Noisiness()
