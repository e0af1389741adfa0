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
from ..train.data import recorded, surroundings
from ..train.recipe import Data
from .decisions import Figures
from .net import examples, train
from .recordings import Known, make
from .thresholds import Case, Goals, choose
from .trace import Trace, Tracer

ENGINES = ("flite", "espeak-ng", "hibari")
_READ = "speechocean762"
_READ_SHARE = 0.2  # recordings of read speech, per command: what is not a whole command
_PAUSES = (0.4, 0.45, 0.15)  # how many recordings are made with no pause, one, two
_COPIES = 2  # recordings made of each that is spoken
# How often what is heard is taken to happen, when thresholds are chosen.
_SHARES = {"command": 0.85, "command with pauses": 0.10, "read": 0.05}
_CALIBRATION_SHARE = 0.35  # recordings that the net is not trained on
_NOISES = ("noise/running_tap.flac", "noise/doing_the_dishes.flac", "noise/exercise_bike.flac", "noise/esc10/*.opus")
_ROOMS = ("rir/*.flac",)
_MADE = "synthetic:8"


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
        expected: what they do on recordings that the net was not trained on.
        recordings, minutes: how many were heard, and how long they are.
    """

    data: bytes
    settings: EndpointSettings
    expected: Figures
    recordings: int
    minutes: float


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
    known = recordings(grammar, options)
    plain = with_endpointer(model, None, None)
    tracer = Tracer(plain, graph)
    heard = [tracer.trace(one.samples) for one in tracked(known, "listening")]
    learn, calibrate = _split(len(known), options.seed)  # copies of one stay together
    data = _with_net(plain, heard, known, learn, options)
    cases = _cases(Tracer(data, graph, spec.ENDPOINT_RULE_NET), [known[k] for k in calibrate])
    with bar("thresholds", None):
        settings, expected = choose(cases, options.goals)
    minutes = sum(len(one.samples) for one in known) / spec.AUDIO_SAMPLE_RATE_HZ / 60
    return Tuned(_resealed(data, settings), settings, expected, len(known), minutes)


def _with_net(
    plain: bytes, heard: Sequence[Trace], known: Sequence[Known], learn: Sequence[int], options: Options
) -> bytes:
    joint, scale = encoder_scale(plain)
    given = examples([heard[k] for k in learn], [known[k].end_ms for k in learn], scale)
    with bar("training", options.epochs) as advance:
        layers, ranges = train(given, options.seed, options.epochs, advance)
    return with_endpointer(plain, net_subgraph(layers, ranges, joint, scale), EndpointSettings())


def _resealed(data: bytes, settings: EndpointSettings) -> bytes:
    """The file with other thresholds and the net that it has."""
    return with_endpointer(data, read_model(data).subgraph(spec.ENDPOINT_SUBGRAPH), settings)


def _split(count: int, seed: int) -> tuple[list[int], list[int]]:
    order = np.random.default_rng([seed, 1]).permutation(-(-count // _COPIES))
    apart = set(order[: max(1, round(len(order) * _CALIBRATION_SHARE))].tolist())
    learn = [k for k in range(count) if k // _COPIES not in apart]
    return learn, [k for k in range(count) if k // _COPIES in apart]


def _kind(one: Known) -> str:
    if not one.is_command:
        return "read"
    return "command with pauses" if one.pauses else "command"


def weights_of(known: Sequence[Known]) -> list[float]:
    """How much each recording counts, so that each kind that there is has its share."""
    counts = Counter(map(_kind, known))
    return [_SHARES[_kind(one)] / counts[_kind(one)] for one in known]


def _cases(tracer: Tracer, known: Sequence[Known]) -> list[Case]:
    """Traces with the net's logits, weighted."""
    heard = zip(tracked(known, "calibrating"), weights_of(known), strict=True)
    return [Case(tracer.trace(one.samples), one.end_ms, weight) for one, weight in heard]


# --- recordings ------------------------------------------------------------------------------------


def recordings(grammar: Path, options: Options) -> list[Known]:
    """Commands of a grammar by several engines, and read speech, with known ends; never a benchmark's recordings."""
    speech = [(pack.samples(utterance), True) for pack in _spoken(grammar, options) for utterance in pack.utterances]
    speech += [(samples, False) for samples in _read(options)]
    places = _surroundings(options.root)
    found = []
    for number, (samples, is_command) in enumerate(tracked(speech, "mixing")):
        copies = [_copy(samples, places, [options.seed, copy, number], is_command) for copy in range(_COPIES)]
        found += [one for one in copies if one is not None] if None not in copies else []
    if len(found) < 4:
        raise UserError(f"only {len(found)} recordings could be made", grammar, "ask for more with --commands")
    return found


def _copy(samples: np.ndarray, places: Surroundings, seed: Sequence[int], is_command: bool) -> Known | None:
    pauses = int(np.random.default_rng([*seed, 2]).choice(len(_PAUSES), p=_PAUSES))
    return make(samples, places, seed, is_command, pauses)


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
