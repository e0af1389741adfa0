"""Sentences put together from what real people said: stretches of recordings, joined where the phones agree.

A network that only synthesisers told an order hears real people give it in noise much worse. Splicing tells it with
real voices: after Zhao et al., "On Addressing Practical Challenges for RNN-Transducer" (ASRU 2021), who adapt so to a
new domain by its text alone, and Lam et al., "On-the-Fly Aligned Data Augmentation" (Interspeech 2021). Words that no
recording has are made of their phones, chosen by dynamic programming as in unit selection (Hunt and Black 1996).
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stapes_spec

from stapes_tools.corpora import build, units
from stapes_tools.corpora.align import SILENCE
from stapes_tools.corpora.executors import Executor
from stapes_tools.corpora.store import AudioPack
from stapes_tools.corpora.units import Units
from stapes_tools.corpora.words import clean_words
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import UNIT_INDEX, UNITS

NAME = "spliced"
_VERSION = 1  # of the choice and the joins; another one is another pack

# Phones that change their neighbours alike.
_FAMILIES = (
    *("P B", "T D", "K G", "F V", "TH DH", "S Z", "SH ZH CH JH", "M", "N NG", "L", "R ER", "W", "Y", "HH"),
    *("IY IH", "EY EH AE", "AA AO AH", "UW UH OW", "AY AW OY"),
)
_FAMILY = np.arange(len(UNITS)) + len(_FAMILIES)
for _number, _family in enumerate(_FAMILIES):
    _FAMILY[[UNIT_INDEX[_phone] for _phone in _family.split()]] = _number

_CANDIDATES = 50  # per phone
# Costs, in arbitrary units; found by ear of the model: orders that it understood without noise.
_OTHER_FAMILY, _SAME_FAMILY = 1.3, 0.5  # beside a phone in the recording, and not in the sentence
_OTHER_PLACE = 0.25  # begins or ends a word there, and not here
_UNUSUAL = 3.0  # too long, too short, or of words that fit badly
_OTHER_PACK, _SPEAKERS = 0.6, 1.0  # of another corpus than most of the sentence; what a speaker may cost at most
_CHANCE = 0.4  # what a phone may cost at most
_JOIN, _UNEVEN, _OTHER_SPEAKER = 1.0, 0.5, 0.6  # a join at all; per nat of difference; of two speakers

_FADE = stapes_spec.AUDIO_SAMPLE_RATE_HZ * 8 // 1000  # samples, half a join
_SHIFT = stapes_spec.AUDIO_SAMPLE_RATE_HZ * 4 // 1000  # samples that a join may move by, so that waves meet in phase
_LEAD, _TAIL = stapes_spec.AUDIO_SAMPLE_RATE_HZ // 20, stapes_spec.AUDIO_SAMPLE_RATE_HZ // 10  # samples
_PEAK = 16000.0  # of 32768, as synthesisers have


@dataclass(frozen=True)
class _Target:
    """A phone of the sentence, and what is beside it."""

    unit: int
    before: int
    after: int
    begins_word: bool
    ends_word: bool


def spliced_pack(
    sentences: Sequence[str],
    recorded: Sequence[AudioPack],
    lexicon: Lexicon,
    count: int,
    seed: int,
    *,
    executor: Executor,
) -> AudioPack:
    """Speak count sentences with the voices of recordings, as build.synthetic_pack does with a synthesiser's.

    Args:
        sentences: what to say.
        recorded: speech with exact words.
        lexicon: pronunciations; the first one of every word is spoken.
        count: utterances.
        seed: chooses sentences, speakers and stretches.
        executor: where the work is done.
    Raises:
        UserError: PocketSphinx is not installed, a phone occurs in no recording, or another process
            makes the same pack.
    """
    name = build.content_hash([pack.folder.name for pack in recorded], lexicon.extra)
    path = units.inventory(recorded, lexicon, name, executor)
    tasks = [(text, seed, lexicon, path) for text, _, seed in build.speech_tasks(sentences, [NAME], count, seed, NAME)]
    folder = build.pack_folder(NAME, sentences, path.name, count, seed, _VERSION)
    return build.made_pack(folder, tasks, _spoken, executor)


def splice(text: str, inventory: Units, lexicon: Lexicon, rng: random.Random) -> np.ndarray:
    """Speak one sentence.

    Returns:
        int16 [n], 16 kHz, peak 16000.
    Raises:
        UserError: a phone of it occurs in no recording.
    """
    return _joined(list(stretches(choose(_targets(text, lexicon), inventory, rng), inventory)), inventory)


def choose(targets: Sequence[_Target], inventory: Units, rng: random.Random) -> list[int]:
    """The cheapest row of units for a sentence, among some candidates for every phone."""
    chance = np.random.default_rng(rng.randrange(1 << 31))
    home = chance.choice(len(inventory.packs), p=_shares(inventory))
    packs = inventory.pack[inventory.recording]
    dislike = chance.uniform(0, _SPEAKERS, int(inventory.speaker.max(initial=0)) + 1)[inventory.speaker]
    taste = dislike + _OTHER_PACK * (packs != home)
    places: list[np.ndarray] = []
    costs: list[np.ndarray] = []
    for target in targets:
        ahead = places[-1] + 1 if places else np.zeros(0, np.int64)
        here, cost = _candidates(target, ahead, inventory, taste, chance)
        places.append(here)
        costs.append(cost)
    joins = [_joins(left, right, inventory) for left, right in itertools.pairwise(places)]
    return [int(here[index]) for here, index in zip(places, cheapest(costs, joins), strict=True)]


def cheapest(costs: Sequence[np.ndarray], joins: Sequence[np.ndarray]) -> list[int]:
    """The cheapest path, by Viterbi's algorithm.

    Args:
        costs: float64 [C_n], of every candidate at every place n.
        joins: float64 [C_n, C_n+1], from a candidate to one at the next place.
    Returns:
        list: which candidate, for every place.
    """
    total, back = costs[0], []
    for cost, join in zip(costs[1:], joins, strict=True):
        paths = total[:, None] + join
        back.append(paths.argmin(axis=0))
        total = cost + paths.min(axis=0)
    path = [int(total.argmin())]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return path[::-1]


def stretches(row: Sequence[int], inventory: Units) -> Iterator[tuple[int, int]]:
    """(first, last) unit of what can be taken from one recording in one piece."""
    first = last = row[0]
    for unit in row[1:]:
        if unit != last + 1 or inventory.recording[unit] != inventory.recording[last]:
            yield first, last
            first = unit
        last = unit
    yield first, last


def _spoken(task: tuple[str, int, Lexicon, Path]) -> build.Row:
    text, seed, lexicon, path = task
    return f"{NAME}-{seed}", text, NAME, splice(text, units.load(path), lexicon, random.Random(f"{seed} {text}"))


def _targets(text: str, lexicon: Lexicon) -> list[_Target]:
    words = [lexicon.pronunciations(word)[0] for word in clean_words(text)]
    spelt = [
        (UNIT_INDEX[phone], place == 0, place == len(phones) - 1)
        for phones in words
        for place, phone in enumerate(phones)
    ]
    beside = [SILENCE, *(unit for unit, *_ in spelt), SILENCE]
    return [_Target(unit, beside[n], beside[n + 2], first, last) for n, (unit, first, last) in enumerate(spelt)]


def _shares(inventory: Units) -> np.ndarray:
    """How often a corpus is most of a sentence: by the root of its phones, so that small ones are heard."""
    sizes = np.sqrt(np.bincount(inventory.pack[inventory.recording], minlength=len(inventory.packs)))
    return sizes / sizes.sum()


def _candidates(
    target: _Target, ahead: np.ndarray, inventory: Units, taste: np.ndarray, chance: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(units, their costs): the cheapest ones for a phone, and what follows those of the phone before (ahead)."""
    mine = np.flatnonzero(inventory.unit == target.unit)
    if (sound := mine[inventory.is_sound[mine]]).size >= _CANDIDATES:
        mine = sound
    if not len(mine):
        raise UserError(
            f"no recording has the phone {UNITS[target.unit]}", advice="name more speech among the recipe's `recorded`"
        )
    ahead = ahead[ahead < len(inventory.unit)]
    ahead = ahead[
        (inventory.unit[ahead] == target.unit) & (inventory.recording[ahead] == inventory.recording[ahead - 1])
    ]
    costs = _own_costs(target, mine, inventory) + taste[mine] + chance.uniform(0, _CHANCE, len(mine))
    kept = np.argsort(costs, kind="stable")[:_CANDIDATES]
    late = np.setdiff1d(ahead, mine[kept])
    of_late = _own_costs(target, late, inventory) + taste[late]
    return np.concatenate([mine[kept], late]), np.concatenate([costs[kept], of_late])


def _own_costs(target: _Target, places: np.ndarray, inventory: Units) -> np.ndarray:
    cost = _UNUSUAL * ~inventory.is_sound[places]
    for wanted, there in ((target.before, inventory.before[places]), (target.after, inventory.after[places])):
        other = np.where(_FAMILY[there] == _FAMILY[wanted], _SAME_FAMILY, _OTHER_FAMILY)
        cost = cost + np.where(there == wanted, 0.0, other)
    cost = cost + _OTHER_PLACE * (inventory.begins_word[places] != target.begins_word)
    return cost + _OTHER_PLACE * (inventory.ends_word[places] != target.ends_word)


def _joins(left: np.ndarray, right: np.ndarray, inventory: Units) -> np.ndarray:
    """float64 [L, R]: what it costs to go from one unit to another; nothing to the next one of its recording."""
    apart = inventory.edges[left, 1][:, None] - inventory.edges[right, 0][None]
    cost = _JOIN + _UNEVEN * np.sqrt(np.mean(apart**2, axis=2))
    cost = cost + _OTHER_SPEAKER * (inventory.speaker[left][:, None] != inventory.speaker[right][None])
    follows = right[None] == left[:, None] + 1
    follows &= inventory.recording[right][None] == inventory.recording[left][:, None]
    return np.where(follows, 0.0, cost)


def _joined(parts: list[tuple[int, int]], inventory: Units) -> np.ndarray:
    """The stretches one after the other, faded into each other where the waves agree best."""
    speech = np.zeros(0, np.float32)
    for number, (first, last) in enumerate(parts):
        samples = inventory.samples(int(inventory.recording[first]))
        lead = _FADE if number else _LEAD
        tail = _FADE if number < len(parts) - 1 else _TAIL
        start = max(int(inventory.start[first]) - lead, 0)
        end = int(inventory.end[last]) + tail
        if number:
            start = _in_phase(speech[-2 * _FADE :], samples, start)
            speech = _faded(speech, samples[start:end])
        else:
            speech = samples[start:end]
    peak = float(np.abs(speech).max(initial=0.0))
    return (speech * (_PEAK / peak)).astype(np.int16) if peak > 0 else np.zeros(0, np.int16)


def _in_phase(tail: np.ndarray, samples: np.ndarray, start: int) -> int:
    """Where near start samples are most like tail."""
    best, where = -np.inf, start
    for place in range(max(start - _SHIFT, 0), start + _SHIFT + 1, 2):
        heard = samples[place : place + len(tail)]
        if len(heard) == len(tail):
            norm = float(np.linalg.norm(tail) * np.linalg.norm(heard))
            alike = float(tail @ heard) / norm if norm else 0.0
            if alike > best:
                best, where = alike, place
    return where


def _faded(speech: np.ndarray, more: np.ndarray) -> np.ndarray:
    shared = min(2 * _FADE, len(speech), len(more))
    rising = np.linspace(0, 1, shared, dtype=np.float32)
    middle = speech[len(speech) - shared :] * (1 - rising) + more[:shared] * rising
    return np.concatenate([speech[: len(speech) - shared], middle, more[shared:]])
