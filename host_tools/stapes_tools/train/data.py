"""From a recipe to features: audio packs, augmented copies as int8 features, batches.

Features come from the board's own front end (`stapes_tools.kernels.features`), so training and
board never differ.
"""

import contextlib
import functools
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from stapes_tools.corpora import build, layouts, readers, sentences
from stapes_tools.corpora.augment import AUGMENTATION, Surroundings, VoiceSpread, augment_beside
from stapes_tools.corpora.executors import Executor
from stapes_tools.corpora.noisiness import USUAL, Noisiness
from stapes_tools.corpora.progress import tracked
from stapes_tools.corpora.store import AudioPack, cache_root
from stapes_tools.corpora.voices import HELD_OUT, check_engines
from stapes_tools.corpora.words import broad_vocabulary, phone_labels, spoken_everywhere
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import UNITS
from stapes_tools.kernels.features import features as front_end
from stapes_tools.kernels.features import log_mel
from stapes_tools.train.places import PACKS, Places, surroundings
from stapes_tools.train.recipe import SPOKEN, Data, Recipe, Synthetic, speaker_of

FEATURE_SIZE = 120


@dataclass(frozen=True)
class FeatureSet:
    """Utterances as features and labels; rows of `features` from starts[i], steps[i] of them.

    clean, if it is there, has the same rows of the same utterances without their noise: what a teacher hears.
    said, if it is there, is what teachers made of them: int16 [rows, V], log-probabilities in Q.10 nats.
    """

    features: np.ndarray
    starts: np.ndarray
    steps: np.ndarray
    labels: list[np.ndarray]
    clean: np.ndarray | None = None
    said: np.ndarray | None = None

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(int8 [steps, 120], int32 [units]) of one utterance."""
        start = self.starts[index]
        return self.features[start : start + self.steps[index]], self.labels[index]

    def beside(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """As example, and to the right of the rows what only training needs.

        That is what teachers said of them (int8 [steps, 120 + 2 V], the bytes of an int16 one after the other,
        the lower one first), or else the clean rows where there are any (int8 [steps, 240]).
        """
        rows, labels = self.example(index)
        if (aside := self.clean if self.said is None else self.said) is None:
            return rows, labels
        start = self.starts[index]
        columns = np.ascontiguousarray(aside[start : start + self.steps[index]]).view(np.int8)
        return np.concatenate([rows, columns], axis=1), labels


def recorded(data: Data, corpus: str) -> AudioPack:
    """One corpus of the recipe: its training part, or what it names after a slash.

    A model that has heard speechocean762/test has no figure for that split.
    """
    root = Path(data.root)
    known = {
        "speechocean762": lambda: readers.speechocean_lines(root / "speechocean762", "train"),
        "speechocean762/test": lambda: readers.speechocean_lines(root / "speechocean762", "test"),
        "vctk_p239": lambda: readers.table_lines(root / "vctk_p239"),
        "librispeech_251": lambda: readers.recognised_lines(root / "librispeech_251", 0.85),
        "wake_phrases": lambda: readers.word_lines(root / "wake_phrases", 120),
        "wake_phrases/all": lambda: readers.word_lines(root / "wake_phrases"),
    }
    read = known.get(corpus) or layouts.trainable(corpus, root).lines
    name = corpus.replace("/", "_") if corpus in known else Path(corpus).name
    return build.corpus_pack(name, read(), Lexicon(data.extra_words), data.on_bad)


def synthetic_sentences(data: Data, entry: Synthetic, lexicon: Lexicon) -> list[str]:
    """The sentences of one synthetic entry, those with unknown words left out."""
    texts: list[str] = []
    for grammar, count in entry.grammars.items():
        texts += sentences.sample_commands(Path(grammar), count, entry.seed)
    if entry.transcripts:
        root = Path(data.root)
        lines = [
            *readers.speechocean_lines(root / "speechocean762", "train"),
            *readers.table_lines(root / "vctk_p239"),
        ]
        rows = readers.recordings(lines, skip_bad=data.on_bad == "skip")
        texts += spoken_everywhere((row[1] for row in rows), lexicon)
    if entry.random_words:
        texts += sentences.random_words(broad_vocabulary(entry.random_words), entry.random_sentences, entry.seed)
    return spoken_everywhere(texts, lexicon)


def training_packs(recipe: Recipe, lexicon: Lexicon, executor: Executor | None = None) -> list[AudioPack]:
    """Every pack the recipe asks for, made (by executor, or the recipe's processes) or found in the cache."""
    data = recipe.data
    check_engines(engine for entry in data.synthetic for engine in entry.engines)
    packs = [pack for entry in data.synthetic for pack in _synthetic_packs(data, entry, lexicon, executor)]
    return packs + [recorded(data, corpus) for corpus in data.recorded]


def _synthetic_packs(
    data: Data, entry: Synthetic, lexicon: Lexicon, executor: Executor | None = None
) -> list[AudioPack]:
    """One synthetic entry by each of its engines."""
    texts = synthetic_sentences(data, entry, lexicon)
    return [
        build.synthetic_pack(texts, engine, count, entry.seed, processes=data.processes, executor=executor)
        for engine, count in entry.engines.items()
    ]


def command_grammar(recipe: Recipe) -> Path:
    """The recipe's first grammar: the one whose commands the model is tuned on."""
    return Path(next(iter(recipe.data.synthetic[0].grammars)))


def held_out_commands(recipe: Recipe, count: int, offset: int) -> list[AudioPack]:
    """Synthetic commands that training never hears, mostly by voices that it never hears either.

    Args:
        count: utterances wanted.
        offset: added to the seed of the recipe's first entry, whose grammar they come from.
    """
    entry = recipe.data.synthetic[0]
    texts = sentences.sample_commands(command_grammar(recipe), count, entry.seed + offset)
    held_out = {
        engine: [voice for voice in HELD_OUT if voice.startswith(f"{engine}/")] for engine in recipe.data.held_out
    }
    return [
        build.synthetic_pack(
            texts,
            engine,
            int(count * share),
            entry.seed + offset,
            processes=recipe.data.processes,
            voices=held_out[engine] or None,
        )
        for engine, share in recipe.data.held_out.items()
    ]


def places_of(data: Data) -> Places:
    """The recipe's noises and rooms, as `surroundings` takes them; voices that it names are spoken if need be."""
    return data.root, tuple(_spoken(data, entry) for entry in data.noises), tuple(data.rooms)


def _spoken(data: Data, entry: str) -> str:
    """An entry of the noises, the packs' folders in place of the name of who speaks."""
    if not (name := speaker_of(entry)):
        return entry
    speech = next(speech for speech in data.synthetic if speech.name == name)
    packs = _synthetic_packs(data, speech, Lexicon(data.extra_words))
    return entry.removesuffix(SPOKEN + name) + PACKS + "|".join(str(pack.folder) for pack in packs)


def surroundings_of(data: Data) -> Surroundings:
    """Noises and rooms of the recipe's [data]."""
    return surroundings(*places_of(data))


def _copy_of(task) -> np.ndarray:
    """Worker: one utterance's augmented samples, then its features (prior given) or its log-mel sums (no prior).

    Features are int8 [steps, 120], and as many columns for every further version, last the clean one, if wanted.
    """
    folder, utterance, seed, (root, noises, rooms, wants_clean, count, *changes), prior = task
    versions = [_pack(folder).samples(utterance)]
    if seed is not None:
        around = surroundings(root, noises, rooms)
        versions = augment_beside(versions[0], around, np.random.default_rng(seed), *changes, versions=count)
        versions = versions if wants_clean else versions[:-1]
    if prior is None:
        frames = log_mel(versions[0])
        return np.append(frames.sum(axis=0, dtype=np.int64), len(frames))
    return np.concatenate([front_end(samples, prior) for samples in versions], axis=1)


@functools.cache
def _pack(folder: Path) -> AudioPack:
    return AudioPack(folder)


def _tasks(packs: list[AudioPack], data: Data, copy_seed: int | None, prior: np.ndarray | None) -> list:
    voices = VoiceSpread(data.pitch_semitones, data.formants)
    wants_clean = copy_seed is not None and data.clean_beside
    where = (*places_of(data), wants_clean, data.noisy_versions, voices, _noisiness(data))
    return [
        (pack.folder, utterance, None if copy_seed is None else [copy_seed, number, index], where, prior)
        for number, pack in enumerate(packs)
        for index, utterance in enumerate(pack.utterances)
    ]


def _noisiness(data: Data) -> Noisiness:
    return Noisiness(data.noise_share, *data.snr_db, data.noises_at_once, data.longest_silence_s, data.room_share)


def _noise_names(data: Data) -> list[str]:
    """What the names of cached features say about the noises: of voices the packs, wherever the cache lies."""
    return [entry.replace(f"{cache_root()}/", "") for entry in places_of(data)[1]]


def _changes(data: Data) -> tuple:
    """What the names of cached features say about changed voices and noise: nothing where all is as usual."""
    voices = (data.pitch_semitones, data.formants) if data.pitch_semitones or data.formants else ()
    *noisiness, room_share = astuple(_noisiness(data))
    *usual, usual_share = astuple(USUAL)
    rooms = () if room_share == usual_share else ("rooms", room_share)
    return (*voices, *(() if noisiness == usual else noisiness), *rooms)


def mean_log_mel(packs: list[AudioPack], data: Data, seed: int, every: int = 5) -> np.ndarray:
    """int16 [40], Q5.10: the mean log-mel of augmented training speech, the front end's prior; cached."""
    key = build.content_hash(
        [pack.folder.name for pack in packs], AUGMENTATION, _noise_names(data), data.rooms, seed, every, *_changes(data)
    )
    path = cache_root() / "priors" / f"{key}.npy"
    if path.exists():
        return np.load(path)
    with build.worker_pool(data.processes) as pool:
        rows = list(pool.map(_copy_of, _tasks(packs, data, seed, None)[::every], chunksize=16))
    sums = np.sum(rows, axis=0)
    prior = np.round(sums[:-1] / sums[-1]).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, prior)
    return prior


def feature_set(
    packs: list[AudioPack], data: Data, seed: int | None, prior: np.ndarray, lexicon: Lexicon
) -> FeatureSet:
    """The first of feature_sets."""
    return feature_sets(packs, data, seed, prior, lexicon)[0]


def feature_sets(
    packs: list[AudioPack], data: Data, seed: int | None, prior: np.ndarray, lexicon: Lexicon
) -> list[FeatureSet]:
    """Features of every utterance of packs, augmented by seed (not at all for None), in every version; cached.

    Utterances with an unknown word, longer than the recipe allows or with more units than steps are left out.
    """
    texts = [utterance.text for pack in packs for utterance in pack.utterances]
    settings = (AUGMENTATION, _noise_names(data), data.rooms, data.longest_s, data.extra_words, *_changes(data))
    if wants_clean := seed is not None and data.clean_beside:
        settings = (*settings, "clean beside")
    if (versions := data.noisy_versions if seed is not None else 1) > 1:
        settings = (*settings, f"{versions} versions")
    key = build.content_hash([pack.folder.name for pack in packs], seed, prior.tolist(), settings)
    folder = cache_root() / "features" / key
    files = [folder / f"features{number or ''}.i8" for number in range(versions)]
    if not (folder / "index.npz").exists():
        with_clean = [*files, folder / "clean.i8"] if wants_clean else files
        _write_features(with_clean, _tasks(packs, data, seed, prior), texts, data, lexicon)
    index = np.load(folder / "index.npz")
    clean = _rows(folder / "clean.i8") if wants_clean else None
    labels = np.split(index["labels"], np.cumsum(index["units"])[:-1])
    return [FeatureSet(_rows(file), index["starts"], index["steps"], labels, clean) for file in files]


def label_counts(utterances: FeatureSet) -> np.ndarray:
    """int64 [U]: how often each unit is said in all of them."""
    return np.bincount(np.concatenate(utterances.labels), minlength=len(UNITS))


def _rows(file: Path) -> np.ndarray:
    return np.memmap(file, np.int8, "r").reshape(-1, FEATURE_SIZE)


def _write_features(files: list[Path], tasks: list, texts: list[str], data: Data, lexicon: Lexicon) -> None:
    """The rows of all tasks, one file for every 120 columns, and an index beside them."""
    folder = files[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    longest = int(data.longest_s * 1000 / 30)
    starts, steps, labels, start = [], [], [], 0
    usable = [bool(spoken_everywhere([text], lexicon)) for text in texts]
    tasks = [task for task, good in zip(tasks, usable, strict=True) if good]
    texts = [text for text, good in zip(texts, usable, strict=True) if good]
    with contextlib.ExitStack() as opened, build.worker_pool(data.processes) as pool:
        outs = [opened.enter_context(open(file, "wb")) for file in files]
        for text, rows in zip(tracked(texts, "features"), pool.map(_copy_of, tasks, chunksize=16), strict=True):
            units = phone_labels(text, lexicon)
            if len(units) < len(rows) <= longest:
                for out, part in zip(outs, np.split(np.asarray(rows, np.int8), len(outs), axis=1), strict=True):
                    out.write(part.tobytes())
                starts.append(start)
                steps.append(len(rows))
                labels.append(units)
                start += len(rows)
    np.savez(
        folder / "index.part.npz",
        starts=np.array(starts, np.int64),
        steps=np.array(steps, np.int32),
        units=np.array([len(row) for row in labels], np.int32),
        labels=np.array([unit for row in labels for unit in row], np.int32),
    )
    (folder / "index.part.npz").rename(folder / "index.npz")
