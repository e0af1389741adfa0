"""Changed copies of recordings, to listen to or to score with: one chosen setting, or what training draws."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from stapes_tools.corpora import effects
from stapes_tools.corpora.augment import AS_SPOKEN, Surroundings, VoiceSpread, augment
from stapes_tools.corpora.build import read_recording
from stapes_tools.corpora.readers import Line
from stapes_tools.corpora.tables import add_to_tables, make_folder, write_flac
from stapes_tools.corpora.voice_change import change_voice
from stapes_tools.errors import UserError


@dataclass(frozen=True)
class Changes:
    """One setting; the defaults change nothing. They are applied in this order, as on the way to a microphone.

    Args:
        pitch_semitones: of the voice, its formants kept.
        formants: factor of their frequencies, the pitch kept.
        speed: factor of tempo, pitch and formants together.
        in_room: whether to reverberate.
        snr_db: loudness of speech over the noise's RMS; None for no noise.
        band_hz: what passes, low and high; None for all.
        level_db: loudness in dB full scale; None to keep it.
        clip_db: how far peaks are driven beyond full scale and cut; None for not at all.
    """

    pitch_semitones: float = 0.0
    formants: float = 1.0
    speed: float = 1.0
    in_room: bool = False
    snr_db: float | None = None
    band_hz: tuple[float, float] | None = None
    level_db: float | None = None
    clip_db: float | None = None


def change(samples: np.ndarray, changes: Changes, around: Surroundings, rng: np.random.Generator) -> np.ndarray:
    """Apply a setting.

    Args:
        samples: int16 [n], 16 kHz.
        changes: what to do.
        around: one of its rooms and noises is taken.
        rng: chooses room, noise and its stretch.
    Returns:
        int16 [m].
    """
    x = change_voice(effects.from_int16(samples), changes.pitch_semitones, changes.formants)
    if changes.speed != 1.0:
        x = effects.change_speed(x, Fraction(changes.speed).limit_denominator(100))
    if changes.in_room:
        x = effects.add_room(x, around.rooms[int(rng.integers(len(around.rooms)))])
    if changes.snr_db is not None:
        noise = around.draw_noise(rng)
        x = effects.add_noise(x, noise, changes.snr_db, int(rng.integers(noise.size)))
    if changes.band_hz:
        x = effects.band_limit(x, *changes.band_hz)
    if changes.level_db is not None:
        x = effects.set_level(x, changes.level_db)
    if changes.clip_db is not None:
        x = effects.clip(x, changes.clip_db)
    return effects.to_int16(x)


@dataclass(frozen=True)
class Copies:
    """What to make of every recording: one copy per SNR of a setting, or some random ones as in training."""

    changes: Changes
    snrs_db: tuple[float, ...] = ()
    random_copies: int = 0
    voices: VoiceSpread = AS_SPOKEN
    seed: int = 0

    def of(self, name: str, samples: np.ndarray, around: Surroundings) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (name of the copy, int16 samples); the same for the same seed, name and samples."""
        key = [self.seed, zlib.crc32(name.encode())]
        for number in range(1, self.random_copies + 1):
            yield f"{name}_{number}", augment(samples, around, np.random.default_rng([*key, number]), self.voices)
        if self.random_copies:
            return
        for snr_db in self.snrs_db or (None,):
            setting = replace(self.changes, snr_db=snr_db)
            ending = f"_snr{snr_db:g}" if len(self.snrs_db) > 1 else ""
            yield name + ending, change(samples, setting, around, np.random.default_rng(key))


def make_copies(
    lines: Iterable[Line], meanings: dict[str, dict], folder: Path, wanted: Copies, around: Surroundings
) -> Iterator[UserError | None]:
    """Write the copies of every recording as folder/NAME.flac, and their tables if the words are known.

    Args:
        lines: recordings to copy.
        meanings: name -> what else refs.json says of a recording (slots, intent).
        folder: where the copies go; equal names are overwritten.
        wanted: see Copies.
        around: noises and rooms.
    Yields:
        for every line, None, or what is wrong with it: then it has no copy.
    Raises:
        UserError: the folder cannot be written.
    """
    make_folder(folder)
    entries: dict[str, dict] = {}
    try:
        for line in lines:
            try:
                samples = _samples_of(line)
            except UserError as error:
                yield error
                continue
            name, text, speaker, _ = line.recording or ("", "", "", Path())
            for copy, changed in wanted.of(name, samples, around):
                write_flac(folder / f"{copy}.flac", changed)
                entry = {"text": text, "speaker": speaker} if not line.is_wordless else {}
                entries[copy] = entry | meanings.get(name, {})
            yield None
    finally:
        if any(entries.values()):
            add_to_tables(folder, entries)


def _samples_of(line: Line) -> np.ndarray:
    if line.error:
        raise line.error
    assert line.recording is not None
    return read_recording(line.recording[3])
