"""An inventory of recorded phones to splice speech from: which, whose, where, and how they sound at their edges."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import stapes_spec

from stapes_tools.corpora.align import SILENCE, align
from stapes_tools.corpora.executors import Executor, InProcess
from stapes_tools.corpora.progress import tracked
from stapes_tools.corpora.store import AudioPack, cache_root
from stapes_tools.corpora.words import clean_words, spoken_everywhere
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import UNITS

EDGE_BANDS = 20
_VERSION = 1  # of what is found; another one is another cache
_LEVEL = 1000.0  # RMS of speech before edges are measured
_WINDOW, _FFT = 400, 512  # samples: 25 ms
_FLOOR = 100.0  # of a band's power: less is silence
_WORST_FIT = 0.08  # share of the recordings whose words fit worst; they are left out
_USUAL_LENGTH = (0.05, 0.93)  # quantiles of a phone's length; others start no stretch
_ENOUGH = 40  # of a phone, for its quantiles to mean anything
_SHORTEST = (
    3 * stapes_spec.AUDIO_SAMPLE_RATE_HZ // 100
)  # samples; the aligner's least, which often means that it is not there


@dataclass(frozen=True)
class Units:
    """N phones of M recordings, in their order.

    Attributes:
        unit: int16 [N], index into UNITS, SILENCE among them.
        recording: int32 [N], index into the next three.
        pack, place: int32 [M], which pack, and which utterance of it.
        level: float32 [M], RMS of its speech.
        packs: str [P], names of the packs' folders in the cache.
        speaker: int32 [N].
        start, end: int32 [N], samples.
        before, after: int16 [N], the units beside it, SILENCE at a recording's ends.
        begins_word, ends_word: bool [N].
        is_sound: bool [N], whether a stretch may begin with it: its words fit and its length is usual.
        edges: float32 [N, 2, 20], natural log of mel powers around its start and its end, at equal levels.
    """

    unit: np.ndarray
    recording: np.ndarray
    pack: np.ndarray
    place: np.ndarray
    level: np.ndarray
    packs: np.ndarray
    speaker: np.ndarray
    start: np.ndarray
    end: np.ndarray
    before: np.ndarray
    after: np.ndarray
    begins_word: np.ndarray
    ends_word: np.ndarray
    is_sound: np.ndarray
    edges: np.ndarray

    def samples(self, recording: int) -> np.ndarray:
        """float32 [n] of a recording, its speech's RMS being 1."""
        pack = _opened(cache_root() / "audio" / str(self.packs[self.pack[recording]]))
        heard = pack.samples(pack.utterances[self.place[recording]])
        return heard.astype(np.float32) / self.level[recording]


def inventory(packs: Sequence[AudioPack], lexicon: Lexicon, name: str, executor: Executor | None = None) -> Path:
    """Align every recording of packs and keep what was found.

    Args:
        packs: speech with exact words, in the cache; utterances with unknown words are left out.
        lexicon: pronunciations.
        name: of the file; it has to say all that packs and lexicon hold.
        executor: where recordings are aligned; here by default.
    Returns:
        Path: what `load` reads; found in the cache the next time.
    """
    path = cache_root() / "units" / f"{name}-{_VERSION}.npz"
    if path.exists():
        return path
    tasks = [
        (pack.folder, place, lexicon)
        for pack in packs
        for place, utterance in enumerate(pack.utterances)
        if spoken_everywhere([utterance.text], lexicon)
    ]
    found = tracked((executor or InProcess()).map(_aligned, tasks), "aligning", len(tasks))
    rows = [(folder, place, *parts) for (folder, place, _), parts in zip(tasks, found, strict=True) if parts]
    units = _collect(rows, [pack.folder for pack in packs])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **{item.name: getattr(units, item.name) for item in fields(Units)})
    partial.rename(path)
    return path


@functools.cache
def load(path: Path) -> Units:
    """The units of a file that `inventory` made, read once per process."""
    with np.load(path) as kept:
        return Units(**{item.name: kept[item.name] for item in fields(Units)})


@functools.cache
def _opened(folder: Path) -> AudioPack:
    return AudioPack(folder)


def _aligned(task: tuple[Path, int, Lexicon]) -> tuple | None:
    """Worker: (speaker, level, phones, edges [n + 1, 20]) of one recording, None if its words do not fit."""
    folder, place, lexicon = task
    utterance = _opened(folder).utterances[place]
    samples = _opened(folder).samples(utterance)
    phones = align(samples, utterance.text, lexicon)
    if not phones or max(phone.word for phone in phones) + 1 != len(clean_words(utterance.text)):
        return None
    spoken = np.concatenate([samples[phone.start : phone.end] for phone in phones if phone.unit != SILENCE])
    level = float(np.sqrt(np.mean(spoken.astype(np.float64) ** 2))) + 1.0
    at = [phone.start for phone in phones] + [phones[-1].end]
    return utterance.speaker, level, phones, _edges(samples * (_LEVEL / level), at)


def _edges(samples: np.ndarray, at: Sequence[int]) -> np.ndarray:
    padded = np.pad(samples, _WINDOW // 2)
    stretches = np.stack([padded[place : place + _WINDOW] for place in at])
    powers = np.abs(np.fft.rfft(stretches * np.hanning(_WINDOW), _FFT)) ** 2
    return np.log(powers @ _mel_matrix() + _FLOOR).astype(np.float32)


@functools.cache
def _mel_matrix() -> np.ndarray:
    """float64 [257, 20]: triangles of equal width in mel (O'Shaughnessy 1987) from 100 Hz to 7.6 kHz."""
    low, high = (1127 * np.log1p(hertz / 700) for hertz in (100, 7600))
    corners = 700 * np.expm1(np.linspace(low, high, EDGE_BANDS + 2) / 1127)
    hertz = np.fft.rfftfreq(_FFT, 1 / stapes_spec.AUDIO_SAMPLE_RATE_HZ)[:, None]
    rising = (hertz - corners[:-2]) / np.diff(corners[:-1])
    falling = (corners[2:] - hertz) / np.diff(corners[1:])
    return np.clip(np.minimum(rising, falling), 0, None)


def _collect(rows: list[tuple], folders: list[Path]) -> Units:
    """Arrays of what the workers found; rows of (folder, place, speaker, level, phones, edges)."""
    number = {folder: index for index, folder in enumerate(folders)}
    speakers: dict[tuple, int] = {}
    whose = [speakers.setdefault((number[row[0]], row[2]), len(speakers)) for row in rows]
    counts = [len(row[4]) for row in rows]
    recording = np.repeat(np.arange(len(rows), dtype=np.int32), counts)
    units, words, starts, ends, scores = (
        np.array([phone for row in rows for phone in row[4]], np.int32).reshape(-1, 5).T
    )
    opens = np.diff(recording, prepend=-1) != 0
    closes = np.roll(opens, -1)
    changes = np.diff(words, prepend=-2) != 0
    edges = [np.stack([row[5][:-1], row[5][1:]], axis=1) for row in rows]
    return Units(
        unit=units.astype(np.int16),
        recording=recording,
        pack=np.array([number[row[0]] for row in rows], np.int32),
        place=np.array([row[1] for row in rows], np.int32),
        level=np.array([row[3] for row in rows], np.float32),
        packs=np.array([folder.name for folder in folders]),
        speaker=np.repeat(np.array(whose, np.int32), counts),
        start=starts,
        end=ends,
        before=np.where(opens, SILENCE, np.roll(units, 1)).astype(np.int16),
        after=np.where(closes, SILENCE, np.roll(units, -1)).astype(np.int16),
        begins_word=changes | opens,
        ends_word=np.roll(changes | opens, -1),
        is_sound=_sound(units, ends - starts, _fits(recording, scores, ends - starts)[recording]),
        edges=np.concatenate(edges) if edges else np.zeros((0, 2, EDGE_BANDS), np.float32),
    )


def _fits(recording: np.ndarray, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """bool [M]: whether a recording fits its words better, per sample, than the worst ones do."""
    fit = np.bincount(recording, scores) / np.maximum(np.bincount(recording, lengths), 1)
    worst = np.argsort(fit, kind="stable")[: int(_WORST_FIT * len(fit))]
    return ~np.isin(np.arange(len(fit)), worst)


def _sound(units: np.ndarray, lengths: np.ndarray, fits: np.ndarray) -> np.ndarray:
    sound = fits & (units != SILENCE) & (lengths > _SHORTEST)
    for unit in range(len(UNITS)):
        mine = units == unit
        if mine.sum() >= _ENOUGH:
            least, most = np.quantile(lengths[mine], _USUAL_LENGTH)
            sound &= ~mine | ((lengths >= least) & (lengths <= most))
    return sound
