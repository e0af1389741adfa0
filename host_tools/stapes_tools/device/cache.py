"""The cache outside git: fetched sources and builds, keyed by a hash of what went into them."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]


def cache_dir() -> Path:
    """$STAPES_CACHE, or stapes/ in the user's cache folder."""
    chosen = os.environ.get("STAPES_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stapes"
    base.mkdir(parents=True, exist_ok=True)
    return base.resolve()


def content_hash(files: Iterable[Path], *words: str) -> str:
    """A name for the contents of files (names included, order ignored) and some words."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"{len(word)}:{word}".encode())
    for path in sorted(files):
        data = path.read_bytes()
        name = path.relative_to(REPO) if path.is_relative_to(REPO) else path.name
        digest.update(f"{name}:{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Two builds of one thing at once: the second waits for the first."""
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder KIND-KEY in the cache; make(folder) fills it the first time.

    The folder appears under its name only when make has returned, so that an interrupted build
    leaves nothing behind that looks whole.
    """
    final = cache_dir() / f"{kind}-{key}"
    if final.is_dir():
        return final
    with lock(cache_dir() / f"{kind}.lock"):
        if not final.is_dir():
            partial = Path(tempfile.mkdtemp(prefix=f"{kind}.partial-", dir=cache_dir()))
            try:
                make(partial)
                partial.chmod(0o755)
                partial.rename(final)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return final
