"""The public corpora: which file of which project, its checksum, and how it becomes a folder that can be read.

No address is written here: a mirror is named by whoever fetches. A checksum is given where a
published one is known to us; the other files are pinned when they are first fetched (see fetch).
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import soundfile

from stapes_tools.corpora.readers import AUDIO_SUFFIXES
from stapes_tools.corpora.tables import SAMPLE_RATE, write_flac
from stapes_tools.errors import UserError


@dataclass(frozen=True)
class Original:
    """A corpus as its project publishes it.

    Args:
        name: what it is called here.
        project: where it is published.
        file: the archive.
        sha256: of the archive, or None where we know no published one.
        arrange: (unpacked archive, folder to make) -> None.
        about: size, licence.
    """

    name: str
    project: str
    file: str
    sha256: str | None
    arrange: Callable[[Path, Path], None]
    about: str


def _folder_with(unpacked: Path, *parts: str) -> Path:
    """The folder of an archive below which parts lie.

    Raises:
        UserError: there is none.
    """
    below = Path(*parts)
    for folder in [unpacked, *sorted(path for path in unpacked.glob("*/") if path.is_dir())]:
        if (folder / below).exists():
            return folder
    raise UserError(
        f"the archive has no {below}", advice="is it the right file? Fetch it from the project's own address"
    )


def _speechocean(unpacked: Path, folder: Path) -> None:
    shutil.move(_folder_with(unpacked, "train", "text"), folder)


def _librispeech(unpacked: Path, folder: Path) -> None:
    shutil.move(_folder_with(unpacked, "train-clean-100") / "train-clean-100", folder)


def _esc10(unpacked: Path, folder: Path) -> None:
    """`001 - Dog bark/1-30226-A.ogg` becomes `dog_bark-1-30226-A.flac`, 16 kHz."""
    folder.mkdir()
    for clip in sorted(unpacked.rglob("*.ogg")):
        kind = clip.parent.name.partition(" - ")[2].lower().replace(" ", "_") or clip.parent.name
        _resample(clip, folder / f"{kind}-{clip.stem}.flac")


def _wake_words(unpacked: Path, folder: Path) -> None:
    """`audio/WORD/CLIP` becomes `WORD/CLIP.flac`."""
    source = _folder_with(unpacked, "audio") / "audio"
    for clip in sorted(path for path in source.glob("*/*") if path.suffix in AUDIO_SUFFIXES):
        (folder / clip.parent.name).mkdir(parents=True, exist_ok=True)
        _resample(clip, folder / clip.parent.name / f"{clip.stem}.flac")


def _speech_to_intent(unpacked: Path, folder: Path) -> None:
    """Clean orders as FLAC, and `refs.json` with their slots; the words are not published."""
    source = _folder_with(unpacked, "data", "label", "label.json") / "data"
    labels = json.loads((source / "label" / "label.json").read_text(encoding="utf-8"))
    folder.mkdir()
    rows = {}
    for name, label in labels.items():
        stem = Path(name).stem
        _resample(source / "speech" / "clean" / name, folder / f"{stem}.flac")
        rows[stem] = {"slots": {slot: value.strip() for slot, value in label["slots"].items()}}
    (folder / "refs.json").write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _resample(source: Path, target: Path) -> None:
    """Write a recording as 16 kHz mono FLAC."""
    import numpy as np

    samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        from scipy.signal import resample_poly

        mono = resample_poly(mono, SAMPLE_RATE, rate)
    write_flac(target, np.clip(np.round(mono * 32768.0), -32768, 32767).astype(np.int16))


_ALL = (
    Original(
        "speechocean762",
        "github.com/jimbozhang/speechocean762",
        "speechocean762.tar.gz",
        None,
        _speechocean,
        "5000 read sentences, 250 speakers, 6 h; free for commercial and non-commercial use",
    ),
    Original(
        "train-clean-100",
        "openslr.org/12",
        "train-clean-100.tar.gz",
        "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
        _librispeech,
        "LibriSpeech, 28539 read sentences, 251 speakers, 100 h, 6.4 GB; CC BY 4.0",
    ),
    Original(
        "esc10",
        "karolpiczak/ESC-10",
        "ESC-10-master.zip",
        None,
        _esc10,
        "400 clips of 10 kinds of noise; CC BY 3.0",
    ),
    Original(
        "wake-word-benchmark",
        "Picovoice's wake-word benchmark",
        "wake-word-benchmark-master.zip",
        None,
        _wake_words,
        "wake words by more than 50 speakers in their homes; Apache 2.0",
    ),
    Original(
        "speech-to-intent-benchmark",
        "Picovoice's speech-to-intent benchmark",
        "speech-to-intent-benchmark-master.zip",
        None,
        _speech_to_intent,
        "619 coffee orders with their slots, for scoring only; Apache 2.0",
    ),
)
ORIGINALS = {original.name: original for original in _ALL}
