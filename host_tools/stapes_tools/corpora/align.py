"""Where the phones of a recording lie: PocketSphinx held to the words that were said.

Its acoustic model (American English, in the wheel) hears triphones; the pronunciations are our lexicon's,
of several the one that fits.
"""

import functools
import os
from typing import NamedTuple

import numpy as np
import stapes_spec

from stapes_tools.corpora.words import clean_words
from stapes_tools.errors import TRAIN_TOOLS, UserError
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import BLANK, UNIT_INDEX

SILENCE = UNIT_INDEX[BLANK]
_FRAME = stapes_spec.AUDIO_SAMPLE_RATE_HZ // 100  # samples; PocketSphinx counts in 10 ms
_PAD_FRAMES = 30  # before and after: a sentence that begins or ends with the recording is lost otherwise
_MOST_PRONUNCIATIONS = 8


class AlignedPhone(NamedTuple):
    """One phone of a recording.

    Attributes:
        unit: index into UNITS; SILENCE for pauses and noises.
        word: how many words came before; -1 for silence.
        start, end: samples.
        score: log-likelihood of its frames, in PocketSphinx' own units.
    """

    unit: int
    word: int
    start: int
    end: int
    score: int


def align(samples: np.ndarray, text: str, lexicon: Lexicon) -> list[AlignedPhone] | None:
    """Find the phones of a sentence.

    Args:
        samples: int16 [n], 16 kHz.
        text: what is said; every word is in the lexicon.
        lexicon: pronunciations.
    Returns:
        list: silences, too, without gaps; None if the sound does not fit the words.
    Raises:
        UserError: PocketSphinx is not installed.
    """
    decoder = _decoder()
    _teach(decoder, clean_words(text), lexicon)
    heard = _padded(samples)
    try:
        decoder.set_align_text(" ".join(clean_words(text)))
        _hear(decoder, heard)
        decoder.set_alignment()
        _hear(decoder, heard)
    except RuntimeError:
        return None
    return list(_phones(decoder.get_alignment(), len(samples)))


@functools.cache
def _decoder():
    try:
        from pocketsphinx import Decoder
    except ImportError:
        raise UserError("splicing needs PocketSphinx, which is not installed", advice=f"run: {TRAIN_TOOLS}") from None
    return Decoder(dict=os.devnull, lm=None, cmn="batch", loglevel="FATAL")


def _teach(decoder, words: list[str], lexicon: Lexicon) -> None:
    for word in dict.fromkeys(words):
        if decoder.lookup_word(word) is None:
            for number, phones in enumerate(lexicon.pronunciations(word)[:_MOST_PRONUNCIATIONS], 1):
                decoder.add_word(word if number == 1 else f"{word}({number})", " ".join(phones), False)


def _padded(samples: np.ndarray) -> bytes:
    """The sound amid as much noise as its softest tenth has: zeros are unlike any silence."""
    spread = float(np.quantile(np.abs(samples.astype(np.int32)), 0.1)) + 3
    noise = np.random.default_rng(1).normal(0, spread, _PAD_FRAMES * _FRAME).astype(np.int16)
    return np.concatenate([noise, samples.astype(np.int16), noise]).tobytes()


def _hear(decoder, heard: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(heard, full_utt=True)
    decoder.end_utt()


def _phones(alignment, length: int):
    word = -1
    for spoken in alignment:
        is_word = not spoken.name.startswith(("<", "["))
        word += is_word
        for phone in spoken:
            start = (phone.start - _PAD_FRAMES) * _FRAME
            edges = np.clip([start, start + phone.duration * _FRAME], 0, length)
            if edges[0] < edges[1]:
                unit = UNIT_INDEX.get(phone.name, SILENCE)
                yield AlignedPhone(unit, word if is_word else -1, int(edges[0]), int(edges[1]), phone.score)
