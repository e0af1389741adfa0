"""Fetch a public corpus: download, check, unpack, arrange."""

import contextlib
import shutil
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from stapes_tools.corpora.download import download, file_sha256, read_pin
from stapes_tools.corpora.layouts import fetched_root
from stapes_tools.corpora.originals import ORIGINALS, Original
from stapes_tools.corpora.store import cache_root
from stapes_tools.errors import UserError


@dataclass(frozen=True)
class Fetched:
    """A fetched corpus.

    Args:
        folder: where it lies.
        archive: the file it was unpacked from.
        sha256: of the archive.
        is_known: whether that was compared with a published checksum, not only with an earlier download.
        was_there: nothing had to be done.
    """

    folder: Path
    archive: Path
    sha256: str
    is_known: bool
    was_there: bool


def fetch(name: str, mirror: str | None) -> Fetched:
    """Bring a public corpus into the cache; what is there already is not fetched again.

    Args:
        name: one of stapes_tools.corpora.originals.ORIGINALS.
        mirror: address of the folder that holds the archive; None if the user named none.
    Raises:
        UserError: unknown name, no mirror, no network, wrong checksum, damaged archive.
    """
    if name not in ORIGINALS:
        raise UserError("there is no such public corpus", name, f"known are {', '.join(ORIGINALS)}")
    original = ORIGINALS[name]
    archive = cache_root() / "downloads" / original.file
    folder = fetched_root() / name
    known = original.sha256 is not None
    pin = read_pin(archive.with_name(archive.name + ".sha256")) or original.sha256 or ""
    if folder.is_dir():
        return Fetched(folder, archive, pin, known, True)
    if not (archive.exists() and file_sha256(archive) == pin):
        if not mirror:
            advice = f"give the address of the folder that holds {original.file} with --mirror or STAPES_MIRROR"
            raise UserError(f"no mirror is named to fetch it from ({original.project} publishes it)", name, advice)
        pin = download(f"{mirror.rstrip('/')}/{original.file}", archive, original.sha256)
    _unpack(archive, original, folder)
    return Fetched(folder, archive, pin, known, False)


def _unpack(archive: Path, original: Original, folder: Path) -> None:
    """Unpack and arrange beside folder, then give it its name: it is whole or not there."""
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with _faults(archive):
            _extract(archive, partial / "archive")
            original.arrange(partial / "archive", partial / "corpus")
            (partial / "corpus").rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(archive: Path, into: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(into)
    else:
        with tarfile.open(archive) as packed_tar:
            if hasattr(tarfile, "data_filter"):
                packed_tar.extractall(into, filter="data")
            else:  # Python before 3.11.4
                packed_tar.extractall(into, [member for member in packed_tar if _is_harmless(member)])


def _is_harmless(member: tarfile.TarInfo) -> bool:
    """A file or folder that stays below where it is unpacked."""
    path = Path(member.name)
    return (member.isfile() or member.isdir()) and not path.is_absolute() and ".." not in path.parts


@contextlib.contextmanager
def _faults(archive: Path):
    advice = f"delete it and {archive.name}.sha256, and fetch it again"
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, KeyError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise UserError(f"the archive is damaged, or another one ({reason})", archive, advice) from None
    except UserError as error:
        raise UserError(error.what, archive, error.advice) from None
    except OSError as error:
        raise UserError(
            f"cannot be unpacked ({error.strerror or error})", archive, "make room; see STAPES_CACHE"
        ) from None
