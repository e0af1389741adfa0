"""Write what makes a folder of recordings a corpus: `refs.json` and `text.tsv`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
import stapes_spec

from stapes_tools.corpora.readers import CorpusError
from stapes_tools.errors import UserError

SAMPLE_RATE = stapes_spec.AUDIO_SAMPLE_RATE_HZ


def make_folder(folder: Path) -> None:
    """Make a folder for recordings.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot be made ({error.strerror})", folder, "choose another folder") from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there.

    Raises:
        UserError: it cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", path, "make room, or choose another place") from None


def write_flac(path: Path, samples: np.ndarray) -> None:
    """Write int16 [n], 16 kHz, mono, as FLAC; whole or not at all. Raises as write_file does."""
    write_file(path, flac_bytes(samples))


def flac_bytes(samples: np.ndarray) -> bytes:
    """int16 [n], 16 kHz, mono, as a FLAC file."""
    import io

    memory = io.BytesIO()
    soundfile.write(memory, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return memory.getvalue()


def add_to_tables(folder: Path, entries: Mapping[str, Mapping]) -> int:
    """Add recordings to a folder's tables; those of an earlier run stay while their files are there.

    Args:
        folder: where NAME.flac lie.
        entries: name -> {"text": words, and perhaps "slots", "intent", "speaker"}.
    Returns:
        int: recordings in the tables now.
    Raises:
        UserError: refs.json is damaged, or cannot be written.
    """
    table = folder / "refs.json"
    try:
        rows = json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}
    except ValueError:
        raise CorpusError("this is not JSON", table, "mend it, or give an empty folder") from None
    rows = {name: row for name, row in rows.items() if (folder / f"{name}.flac").exists()} | dict(entries)
    write_file(table, (json.dumps(rows, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode())
    lines = [f"{name}\t{row['text']}\n" for name, row in sorted(rows.items()) if "text" in row]
    write_file(folder / "text.tsv", "".join(lines).encode())
    return len(rows)
