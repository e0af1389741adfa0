"""`stapes endpoint tune`: train the end-pointer's net for a model and a grammar, calibrate, put it into the file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import stapes_spec as spec

from ..convert.endpointer import encoder_scale, net_subgraph, with_endpointer
from ..convert.metadata import EndpointSettings
from ..convert.read import read_model
from ..corpora.augment import Surroundings
from ..corpora.build import synthetic_pack
from ..corpora.progress import bar, tracked
from ..corpora.sentences import sample_commands
from ..corpora.store import AudioPack
from ..errors import UserError
from ..grammars import compiled
from ..train.data import recorded
from ..train.places import surroundings
from ..train.recipe import Data
from .decisions import Figures
from .net import examples, train
from .recordings import Known, make
from .thresholds import Case, Goals, choose, most_doubt
from .trace import Tracer

ENGINES = ("flite", "espeak-ng", "hibari")
_READ = "speechocean762"
_READ_SHARE = 0.2  # recordings of read speech, per command: what is not a whole command


@dataclass(frozen=True)
class _Mix:
    """Recordings made of each that is spoken: how many, and their shares with no pause, one, two."""

    copies: int
    pauses: tuple[float, float, float]


# The net learns most from pauses, and from what is no command. Thresholds keep to shares of commands, which are mostly
# said without pauses, so of those there must be enough: one of a hundred would already be half of what may be cut off.
_LEARNT, _CALIBRATED = _Mix(2, (0.4, 0.45, 0.15)), _Mix(4, (0.75, 0.2, 0.05))
_PAUSED = 0.1  # share of commands with pauses, when thresholds are chosen
_CALIBRATION_SHARE = 0.35  # of what is spoken; the net is not trained on it
_NOISES = ("noise/running_tap.flac", "noise/doing_the_dishes.flac", "noise/exercise_bike.flac", "noise/esc10/*.opus")
_ROOMS = ("rir/*.flac",)
_MADE = "synthetic:8"
_FEWEST = 2  # recordings, of either part


@dataclass(frozen=True)
class Options:
    """How to tune.

    Attributes:
        seed: of everything that is drawn.
        commands: how many are spoken.
        engines: synthesisers.
        root: folder of noises, rooms and read speech; without it noises and rooms are made, and nothing is read.
        epochs: of training.
        processes: for speaking.
        goals: see thresholds.
    """

    seed: int = 61
    commands: int = 480
    engines: Sequence[str] = ENGINES
    root: Path = Path("../shared/data")
    epochs: int = 40
    processes: int = 1
    goals: Goals = field(default_factory=Goals)


@dataclass(frozen=True)
class Tuned:
    """What came out.

    Attributes:
        data: the model file with net and thresholds.
        settings: the thresholds.
        rejection: nats of doubt beyond which a command is not meant.
        expected: what they do on recordings that the net was not trained on.
        recordings, minutes: how many were heard, and how long they are.
        spoken, understood: commands that the net was not trained on, and those of them that decide (see _cases).
    """

    data: bytes
    settings: EndpointSettings
    rejection: float
    expected: Figures
    recordings: int
    minutes: float
    spoken: int
    understood: int


def tune(model: bytes, grammar: Path, options: Options) -> Tuned:
    """Train and calibrate.

    Args:
        model: a .tflite file, packed or not; an end-pointer that it has is replaced.
        grammar: .yaml, whose commands are spoken.
    Raises:
        UserError: a file is refused, an engine is missing, or there is nothing to learn from.
        BoardError: the kernels refuse the model.
    """
    if grammar.suffix == ".stg":
        raise UserError("sentences cannot be drawn from a compiled grammar", grammar, "give its .yaml")
    graph = compiled(grammar, False).read_bytes()
    learnt, calibrated = recordings(grammar, options)
    plain = with_endpointer(model, None, None)
    data = _with_net(plain, Tracer(plain, graph), learnt, options)
    cases = _cases(Tracer(data, graph, spec.ENDPOINT_RULE_NET), calibrated)
    with bar("thresholds", None):
        settings, expected = choose(cases, options.goals)
    known = learnt + calibrated
    minutes = sum(len(one.samples) for one in known) / spec.AUDIO_SAMPLE_RATE_HZ / 60
    rejection = most_doubt(cases)
    resealed = _resealed(data, settings, rejection)
    return Tuned(resealed, settings, rejection, expected, len(known), minutes, len(calibrated), len(cases))


def _with_net(plain: bytes, tracer: Tracer, known: Sequence[Known], options: Options) -> bytes:
    joint, scale = encoder_scale(plain)
    heard = [tracer.trace(one.samples) for one in tracked(known, "listening")]
    given = examples(heard, [one.end_ms for one in known], scale)
    with bar("training", options.epochs) as advance:
        layers, ranges = train(given, options.seed, options.epochs, advance)
    return with_endpointer(plain, net_subgraph(layers, ranges, joint, scale), EndpointSettings())


def _resealed(data: bytes, settings: EndpointSettings, rejection: float) -> bytes:
    """The file with other thresholds and the net that it has."""
    raw = round(rejection * (1 << spec.Q_LOG_PROB_FRACTION_BITS))
    return with_endpointer(data, read_model(data).subgraph(spec.ENDPOINT_SUBGRAPH), settings, raw)


def weights_of(known: Sequence[Known]) -> list[float]:
    """How much each command counts, so that those with pauses, if there are any, have their share."""
    counts = Counter(one.pauses > 0 for one in known)
    shares = {True: _PAUSED, False: 1 - _PAUSED}
    return [shares[one.pauses > 0] / counts[one.pauses > 0] for one in known]


def _cases(tracer: Tracer, known: Sequence[Known]) -> list[Case]:
    """Traces with the net's logits, weighted, of those that are understood: who is misheard loses nothing by a cut.

    All of them, where hardly any is understood.
    """
    heard = [(tracer.trace(one.samples), one) for one in tracked(known, "calibrating")]
    right = [(trace, one) for trace, one in heard if trace.text == one.text]
    counted = right if len(right) >= _FEWEST else heard
    weights = weights_of([one for _, one in counted])
    return [Case(trace, one.end_ms, weight) for (trace, one), weight in zip(counted, weights, strict=True)]


# --- recordings ------------------------------------------------------------------------------------


def recordings(grammar: Path, options: Options) -> tuple[list[Known], list[Known]]:
    """Commands of a grammar by several engines, and read speech, with known ends; never a benchmark's recordings.

    Returns:
        (for the net, for the thresholds: commands alone); no sentence that was spoken is in both.
    """
    packs = _spoken(grammar, options)
    commands = [(pack.samples(utterance), utterance.text) for pack in packs for utterance in pack.utterances]
    order = np.random.default_rng([options.seed, 1]).permutation(len(commands))
    apart = set(order[: max(1, round(len(order) * _CALIBRATION_SHARE))].tolist())
    places = _surroundings(options.root)
    found: tuple[list[Known], list[Known]] = ([], [])
    speech = commands + [(samples, "") for samples in _read(options)]
    for number, (samples, text) in enumerate(tracked(speech, "mixing")):
        mix = _CALIBRATED if number in apart else _LEARNT
        for copy in range(mix.copies):
            one = _copy(samples, places, [options.seed, copy, number], text, mix)
            found[number in apart].extend([one] if one else [])
    if min(map(len, found)) < _FEWEST:
        count = sum(map(len, found))
        raise UserError(f"only {count} recordings could be made", grammar, "ask for more with --commands")
    return found


def _copy(samples: np.ndarray, places: Surroundings, seed: Sequence[int], text: str, mix: _Mix) -> Known | None:
    pauses = int(np.random.default_rng([*seed, 2]).choice(len(mix.pauses), p=mix.pauses))
    return make(samples, places, seed, text, pauses)


def _spoken(grammar: Path, options: Options) -> list[AudioPack]:
    sentences = sample_commands(grammar, options.commands, options.seed)
    each = -(-options.commands // len(options.engines))
    return [
        synthetic_pack(sentences, engine, each, options.seed, processes=options.processes) for engine in options.engines
    ]


def _read(options: Options) -> list[np.ndarray]:
    count = round(options.commands * _READ_SHARE)
    if not (options.root / _READ).is_dir():
        return []
    data = Data(str(options.root), [_READ], [], [], copies=1, processes=1, longest_s=15.0, synthetic=[])
    pack = recorded(data, _READ)
    chosen = np.random.default_rng([options.seed, 3]).choice(len(pack), min(count, len(pack)), replace=False)
    return [pack.samples(pack.utterances[k]) for k in sorted(chosen.tolist())]


def _surroundings(root: Path) -> Surroundings:
    """Recorded noises and rooms, where they are; made ones always."""
    there = [[entry for entry in entries if any(root.glob(entry))] for entries in (_NOISES, _ROOMS)]
    noises, rooms = ((*entries, _MADE) for entries in there)
    return surroundings(str(root), noises, rooms)
