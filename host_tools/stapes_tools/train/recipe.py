"""A training recipe: a TOML file read into dataclasses; unknown keys are refused."""

import difflib
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from stapes_tools.convert.topology import Block, Topology
from stapes_tools.corpora.noisiness import USUAL
from stapes_tools.errors import UserError
from stapes_tools.grammar.units import UNITS

STEP_EDGES = (80, 100, 120, 140, 170, 210, 260, 350, 500)

# What entries of noises and rooms begin with that are no patterns of files.
MADE, BABBLE, CHATTER, SPOKEN = "synthetic:", "babble:", "chatter:", "spoken:"
PEOPLE = (BABBLE, CHATTER)
_MADE_ENTRY = re.compile(rf"{MADE}[0-9]+|({BABBLE}|{CHATTER})[1-9][0-9]*:.+")
_MADE_ADVICE = 'write "synthetic:16", or among the noises "babble:16:FOLDER/*.flac" or "chatter:16:spoken:NAME"'

HELD_OUT_SHARES = {"flite": 0.3, "espeak-ng": 0.3, "piper": 0.2, "hibari": 0.2}


def _shown(table) -> str:
    """As of any dataclass, but for the newer keys at their defaults: a run's folder is named by a hash of it."""
    names = [item.name for item in fields(table) if item.repr or getattr(table, item.name) != item.default]
    return f"{type(table).__name__}({', '.join(f'{name}={getattr(table, name)!r}' for name in names)})"


@dataclass(frozen=True)
class Synthetic:
    """Sentences and the engines that speak them: engine -> utterances."""

    name: str
    seed: int
    engines: dict[str, int]
    grammars: dict[str, int] = field(default_factory=dict)
    transcripts: bool = False
    random_words: int = 0
    random_sentences: int = 0


def speaker_of(noise: str) -> str:
    """Which synthetic speech of the recipe talks in an entry of its noises; empty for every other entry."""
    return noise.partition(f":{SPOKEN}")[2]


@dataclass(frozen=True)
class Data:
    """Where speech, noise and rooms come from."""

    root: str
    recorded: list[str]
    noises: list[str]
    rooms: list[str]
    copies: int
    processes: int
    longest_s: float
    synthetic: list[Synthetic]
    extra_words: dict[str, str] = field(default_factory=dict)
    # Engine -> share of the synthetic commands that tuning and the report use.
    held_out: dict[str, float] = field(default_factory=lambda: dict(HELD_OUT_SHARES))
    held_out_commands: int = 200
    # What a bad line of a corpus does: "skip" it with a warning, or "stop".
    on_bad: str = field(default="skip", repr=False)
    # Of augmentation: standard deviations of pitch, in semitones, and of the formants' factor; 0 is off.
    pitch_semitones: float = field(default=0.0, repr=False)
    formants: float = field(default=0.0, repr=False)
    # Of augmentation: share of noisy utterances, and the bounds of speech over noise in dB.
    noise_share: float = field(default=USUAL.share, repr=False)
    snr_db: tuple[float, float] = field(default=(USUAL.lowest_snr_db, USUAL.highest_snr_db), repr=False)
    # Share of the utterances that are heard in a room.
    room_share: float = field(default=USUAL.room_share, repr=False)
    # Up to how many noises at once, and how long they may be heard without speech, before it or after it.
    noises_at_once: int = field(default=USUAL.at_once, repr=False)
    longest_silence_s: float = field(default=USUAL.longest_silence_s, repr=False)
    # Keep every augmented utterance without its noise too: what a teacher then hears.
    clean_beside: bool = field(default=False, repr=False)
    # So many times every augmented utterance, the same but for its noise.
    noisy_versions: int = field(default=1, repr=False)

    def __post_init__(self) -> None:
        if self.on_bad not in ("skip", "stop"):
            raise UserError(f"[data] on_bad is {self.on_bad!r}", advice='write "skip" or "stop"')
        if not (0 <= self.pitch_semitones <= 6 and 0 <= self.formants <= 0.15):
            advice = "keep pitch_semitones from 0 to 6 and formants from 0 to 0.15"
            raise UserError("[data] changes voices beyond what is speech", advice=advice)
        if not (0 <= self.noise_share <= 1 and len(self.snr_db) == 2 and -20 <= self.snr_db[0] <= self.snr_db[1]):
            advice = "write a noise_share from 0 to 1 and snr_db = [LOWEST, HIGHEST], from -20 dB"
            raise UserError("[data] noise is out of range", advice=advice)
        if not 0 <= self.room_share <= 1:
            raise UserError(f"[data] room_share is {self.room_share:g}", advice="keep it from 0 to 1")
        for entry in (*self.noises, *self.rooms):
            is_talking_room = entry.startswith(PEOPLE) and entry in self.rooms
            if is_talking_room or (entry.startswith((MADE, *PEOPLE)) and not _MADE_ENTRY.fullmatch(entry)):
                raise UserError(f"[data] has {entry!r} for a noise or a room", advice=_MADE_ADVICE)
        self._check_speakers()
        if not (1 <= self.noises_at_once <= 8 and 1 <= self.longest_silence_s <= 10):
            advice = "keep noises_at_once from 1 to 8 and longest_silence_s from 1 to 10"
            raise UserError("[data] noise is out of range", advice=advice)
        if not 1 <= self.noisy_versions <= 8:
            raise UserError("[data] noise is out of range", advice="keep noisy_versions from 1 to 8")

    def _check_speakers(self) -> None:
        """Refuse a noise of synthetic speech that the recipe does not have."""
        names = [speech.name for speech in self.synthetic]
        for entry in self.noises:
            name = speaker_of(entry)
            if name and name not in names:
                near = difflib.get_close_matches(name, names, n=1) or names
                advice = f"name one of [[data.synthetic]]: {', '.join(map(repr, near))}"
                raise UserError(f"[data] has {entry!r} for a noise, and nobody of that name speaks", advice=advice)

    def __repr__(self) -> str:
        return _shown(self)


@dataclass(frozen=True)
class Model:
    """Sizes of the network."""

    channels: int
    blocks: int
    width: int
    joint: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The optimiser's settings over one stage.

    The stage ends after `minutes`, or after `batches` where they are given (then the same recipe
    gives the same model however fast the machine is); shares are of that length. Batches come in a
    few shapes, of step_edges steps each: fewer shapes suit an accelerator, which compiles slowly and pads cheaply.
    """

    minutes: float
    batches: int = 0
    steps_per_batch: int = 1800
    learning_rate: float
    warmup_batches: int = 300
    weight_decay: float = 0.01
    decay_share: float = 0.45
    short_first_share: float = 0.0
    masking_share: float = 0.0
    ema: float = 0.998
    checkpoint_minutes: float = 5.0
    step_edges: list[int] = field(default_factory=lambda: list(STEP_EDGES))
    # Batches between two adaptations of masks and grids.
    update_batches: int = 50
    # Speech changed anew in every batch, 1 for much of it (stapes_tools.train.distort); whether teachers hear it so,
    # too, or as it was; with a clean version beside it they hear that.
    distortion: float = field(default=0.0, repr=False)
    distort_teachers: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.distortion <= 3:
            raise UserError(f"distortion is {self.distortion!r}", advice="keep it from 0, for none, to 3")


@dataclass(frozen=True, kw_only=True, repr=False)
class Training(Schedule):
    """The first stage: CTC alone for ctc_share of the time, then RNN-T plus ctc_weight x CTC.

    From a base there is no CTC: what is left of that model has no such head.
    context_dropout: see Compression.
    extra_blocks: from a base, blocks after which another one is put, of width 5 and with extra_dilation.
    """

    ctc_share: float
    ctc_weight: float
    context_dropout: float = field(default=0.0, repr=False)
    extra_blocks: list[int] = field(default_factory=list, repr=False)
    extra_dilation: int = field(default=1, repr=False)

    def __repr__(self) -> str:
        return _shown(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class Compression(Schedule):
    """The second stage; every method can be switched off.

    zeros: share of the encoder's weights that become zero, 0 for none; in blocks of block_rows
    outputs x 1 input; the share rises from sparse_start to sparse_end (both 0: a base that has its zeros keeps them).
    zeros_of: matrix (a name of stapes inspect) -> its own share, in place of zeros or light_zeros.
    weight_bits: 8 or 4 for the encoder's matrices, 0 leaves rounding to the converter;
    straight_through rounds them in the forward pass, grid_penalty pulls them to their levels
    (absolute cosine). simulate_activations: int8 as the kernels compute them. The grids stay as
    they are from `freeze` on.
    teacher_weight: of the distillation loss, 0 for none; teacher: folder of another model whose float
    parameters teach, by default those that the stage starts from. With a context_dropout of 1 it may be a list of
    folders, "" for those: what they say is averaged. teach_once: they hear all copies once, before the
    stage, in place of every batch: worth it where several noisy_versions share a clean one, or there are many passes.
    mmi_weight: of the discriminative loss over the recipe's first grammar, 0 for none; mmi_blank_penalty: nats that
    it takes from a blank, as the search will, and mmi_start_discount, so much less before the first unit; mmi_margin:
    nats by which all other sentences are made likelier.
    context_dropout: share of utterances whose predictor sees no label, so that the encoder learns to do without it.
    """

    zeros: float = 0.75
    block_rows: int = 4
    sparse_start: float = 0.02
    sparse_end: float = 0.5
    weight_bits: int = 4
    straight_through: bool = True
    grid_penalty: float = 0.0
    simulate_activations: bool = True
    freeze: float = 0.6
    teacher_weight: float = 0.0
    teacher: str | list[str] = ""
    mmi_weight: float = field(default=0.0, repr=False)
    mmi_blank_penalty: float = field(default=2.5, repr=False)
    mmi_start_discount: float = field(default=0.0, repr=False)
    mmi_margin: float = field(default=0.0, repr=False)
    context_dropout: float = field(default=0.0, repr=False)
    teach_once: bool = field(default=False, repr=False)
    zeros_of: dict[str, float] | None = field(default=None, repr=False)

    def zeros_for(self, name: str, otherwise: float) -> float:
        """Share of zeros that a matrix ends with: its own, or otherwise that of all."""
        return (self.zeros_of or {}).get(name, otherwise)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.zeros_of, dict | None):
            raise UserError("zeros_of is no table", advice="write zeros_of = { MATRIX = SHARE }")
        for name, share in (self.zeros_of or {}).items():
            if not (isinstance(share, int | float) and 0 <= share < 1):
                raise UserError(f"zeros_of {name} is {share!r}", advice="keep it from 0 to below 1")
        if self.mmi_margin < 0:
            raise UserError(f"mmi_margin is {self.mmi_margin}", advice="write the nats as 0 or more")
        if self.teach_once and not (self.teacher_weight > 0 and self.context_dropout >= 1.0):
            advice = "write a teacher_weight and context_dropout = 1.0, or leave it out"
            raise UserError("teach_once without a teacher that can", advice=advice)

    def __repr__(self) -> str:
        return _shown(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class Branches(Compression):
    """The third stage: a light branch and an arbitrator beside the encoder; the second stage's methods go on.

    light_blocks: blocks that the light branch computes, all by default; [] for none: the others let the stream pass.
    share_blocks: in them it has the heavy branch's weights; false gives it weights of its own.
    light_zeros: share of zeros of its own matrices, reached at light_sparse_end.
    target_cost: multiplications of both branches over those of the heavy one alone, on training speech; what goes
    beyond is weighted by cost_weight.
    heavy_share, light_share: utterances that are heard by one branch alone; for the others the threshold is drawn
    with the standard deviation threshold_spread, in nats.
    temperature: of the choice at the start, 1 at harden_until, where it has become hard.
    arbitrator: folder of a model with branches whose arbitrator a base without one gets, in place of a random one.
    keep_arbitrator: it stays as it is, and nothing presses on the cost.
    """

    light_blocks: list[int] | None = None
    share_blocks: bool = False
    light_zeros: float = 0.95
    light_sparse_end: float = 0.4
    arbitrator_channels: int = 16
    arbitrator_width: int = 8
    target_cost: float = 0.5
    cost_weight: float = 2.0
    heavy_share: float = 0.2
    light_share: float = 0.05
    threshold_spread: float = 1.0
    temperature: float = 2.0
    harden_until: float = 0.4
    arbitrator: str = field(default="", repr=False)
    keep_arbitrator: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.target_cost <= 1 and self.temperature > 0 and self.heavy_share + self.light_share <= 1):
            advice = "keep target_cost in 0 to 1, temperature above 0, heavy_share + light_share up to 1"
            raise UserError("[branches] is out of range", advice=advice)
        if not 0 <= self.zeros <= self.light_zeros < 1:
            raise UserError("[branches] light_zeros is below zeros, or 1", advice="zeros <= light_zeros < 1")


@dataclass(frozen=True)
class Recipe:
    """All of a recipe file.

    [model] and [training] train from scratch; `base`, the folder of another model, adapts that
    one, from its parameters after `base_stage`; [training] then trains on in float.

    label_prior: power of the units' priors that the scores are divided by (stapes_tools.convert.label_prior).
    """

    seed: int
    data: Data
    model: Model | None = None
    training: Training | None = None
    compression: Compression | None = None
    branches: Branches | None = field(default=None, repr=False)
    base: str = ""
    base_stage: str = "dense"
    label_prior: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_prior <= 1.0:
            raise UserError(f"label_prior is {self.label_prior!r}", advice="keep it from 0, for none, to 1")

    def __repr__(self) -> str:
        return _shown(self)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        UserError: missing, not TOML, an unknown or a missing key.
    """
    try:
        return parse_recipe(path.read_text(), path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such recipe") from None


def parse_recipe(text: str, path: Path) -> Recipe:
    """The recipe in text; errors name path."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not a TOML file: {error}") from None
    _refuse_strangers(Recipe, table, path)
    table["data"] = dict(table.get("data", {}))
    table["data"]["synthetic"] = [_fill(Synthetic, row, path) for row in table["data"].get("synthetic", [])]
    parts = {"data": Data, "model": Model, "training": Training, "compression": Compression, "branches": Branches}
    for key, kind in parts.items():
        if key in table:
            table[key] = _fill(kind, table[key], path)
    recipe = _fill(Recipe, table, path)
    if recipe.base and not (recipe.training or recipe.compression or recipe.branches):
        raise UserError(f"{path}: [compression] is missing, or [training] or [branches]; a model is adapted")
    if recipe.base and recipe.training and (recipe.training.ctc_share or recipe.training.ctc_weight):
        advice = "write ctc_share = 0.0 and ctc_weight = 0.0"
        raise UserError(f"{path}: [training] from a base has no CTC head", advice=advice)
    if not recipe.base and recipe.training and recipe.training.extra_blocks:
        raise UserError(f"{path}: extra_blocks deepen a base", advice="write more blocks in [model]")
    for key in () if recipe.base else ("model", "training"):
        if getattr(recipe, key) is None:
            raise UserError(f"{path}: [{key}] is missing; nothing to start from is named with `base`")
    return recipe


def _refuse_strangers(kind, table: dict, path: Path) -> None:
    names = {item.name for item in fields(kind)}
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{path}: unknown key {key!r} in [{kind.__name__.lower()}]{hint}")


# What a key of one type may be in TOML: a number may be whole, and true is no number.
_MAY_BE: dict[object, tuple[tuple[type, ...], str]] = {
    float: ((float, int), "a number"),
    int: ((int,), "a whole number"),
    str: ((str,), "a text in quotes"),
    bool: ((bool,), "true or false"),
}


def _refuse_other_types(kind, table: dict, path: Path) -> None:
    for item in fields(kind):
        if item.name not in table or item.type not in _MAY_BE:
            continue
        value, (types, called) = table[item.name], _MAY_BE[item.type]
        if not isinstance(value, types) or (isinstance(value, bool) and item.type is not bool):
            where = f"{path}: {item.name} in [{kind.__name__.lower()}] is {value!r}"
            raise UserError(where, advice=f"write {called}")


def _fill(kind, table: dict, path: Path):
    _refuse_strangers(kind, table, path)
    _refuse_other_types(kind, table, path)
    try:
        return kind(**table)
    except UserError as error:
        raise UserError(error.what, error.path or path, error.advice) from None
    except TypeError as error:
        raise UserError(f"{path}: [{kind.__name__.lower()}] {str(error).partition(') ')[2]}") from None


def floating(training: Training) -> Compression:
    """The first stage's settings for a network that is folded already: its schedule, and no method of compression."""
    schedule = {item.name: getattr(training, item.name) for item in fields(Schedule)}
    settings = Compression(**schedule, context_dropout=training.context_dropout)
    return replace(settings, zeros=0.0, weight_bits=0, straight_through=False, simulate_activations=False)


def topology_of(model: Model) -> Topology:
    """The network for a recipe's sizes."""
    return Topology(model.channels, (Block(model.width),) * model.blocks, model.joint, len(UNITS))
