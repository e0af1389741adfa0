"""Download one file: resumed where it was cut off, checked by SHA-256, whole or not there."""

import contextlib
import hashlib
import http.client
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from stapes_tools.corpora.progress import bar
from stapes_tools.errors import UserError

_TIMEOUT_S = 30  # without a byte
_BLOCK_BYTES = 1 << 20
_SCHEMES = ("http://", "https://", "file://")


def download(url: str, target: Path, sha256: str | None) -> str:
    """Fetch url into target, going on with what an earlier call left in target.part.

    Args:
        url: http, https or file.
        target: where the file goes; its folder is made.
        sha256: what it must be; None: what was pinned beside target by an earlier download, or,
            the first time, whatever comes, which is pinned in `target.sha256`.
    Returns:
        str: the file's SHA-256.
    Raises:
        UserError: no answer, cut off, no space, or another checksum; one line says which.
    """
    if not url.startswith(_SCHEMES):
        raise UserError("is no address", url, f"it begins with {', '.join(_SCHEMES)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    pin = target.with_name(target.name + ".sha256")
    with _faults(url):
        _receive(url, partial)
    found = file_sha256(partial)
    wanted = sha256 or read_pin(pin)
    if wanted and found != wanted:
        partial.unlink()
        _state_of(partial).unlink(missing_ok=True)
        raise _wrong_sum(url, found, wanted, None if sha256 else pin)
    _state_of(partial).unlink(missing_ok=True)
    pin.write_text(f"{found}  {target.name}\n")
    partial.rename(target)
    return found


def read_pin(pin: Path) -> str | None:
    """The SHA-256 in a file as sha256sum writes it, or None."""
    with contextlib.suppress(FileNotFoundError, IndexError):
        return pin.read_text().split()[0]
    return None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(url: str, partial: Path) -> None:
    """Fill partial, from where it ends if the server still has the same file."""
    have, version = _left_over(url, partial)
    request = urllib.request.Request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version)
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # nothing is left to receive; the checksum tells whether all is there
        raise
    with answer:
        if getattr(answer, "status", None) != 206:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        _check_space(partial.parent, total, have)
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        _state_of(partial).write_text(json.dumps({"url": url, "version": version}))
        with open(partial, "ab" if have else "wb") as file, bar(partial.stem, total, have, in_bytes=True) as advance:
            while block := answer.read(_BLOCK_BYTES):
                file.write(block)
                have += len(block)
                advance(len(block))
    if total is not None and have < total:
        raise _cut_off(url, have, total)


def _left_over(url: str, partial: Path) -> tuple[int, str]:
    """(bytes, version) that an earlier call left; no bytes if they cannot be gone on with."""
    try:
        state = json.loads(_state_of(partial).read_text())
        if state["url"] == url and state["version"] and not state["version"].startswith("W/"):
            return partial.stat().st_size, state["version"]
    except (OSError, ValueError, KeyError):
        pass
    return 0, ""


def _state_of(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _check_space(folder: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(folder).free
    if total is not None and total - have > free:
        missing = (total - have - free) >> 20
        raise UserError(f"{missing + 1} MB of disk space are missing", folder, "make room, or set STAPES_CACHE")


@contextlib.contextmanager
def _faults(url: str) -> Iterator[None]:
    """Turn what a network does into one line each."""
    try:
        yield
    except urllib.error.HTTPError as error:
        raise UserError(
            f"the server answers {error.code} {error.reason}", url, "check --mirror or STAPES_MIRROR"
        ) from None
    except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
        raise UserError(f"the download was cut off ({_reason(error)})", url, "run it again: it goes on there") from None
    except urllib.error.URLError as error:
        advice = "check the network, or name another mirror with --mirror or STAPES_MIRROR"
        raise UserError(f"cannot be reached ({_reason(error.reason)})", url, advice) from None
    except OSError as error:
        raise UserError(f"cannot be written ({_reason(error)})", url, "make room, or set STAPES_CACHE") from None
    except ValueError as error:
        raise UserError(f"is no address ({error})", url, "check --mirror or STAPES_MIRROR") from None


def _reason(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _cut_off(url: str, have: int, total: int) -> UserError:
    what = f"the download was cut off after {have} of {total} bytes"
    return UserError(what, url, "run it again: it goes on there")


def _wrong_sum(url: str, found: str, wanted: str, pin: Path | None) -> UserError:
    what = f"its SHA-256 is {found[:16]}… instead of {wanted[:16]}…, so it was thrown away"
    if pin is None:
        return UserError(what, url, "fetch it again, or from another mirror")
    return UserError(what, url, f"fetch it again; if the project has published a new version, delete {pin}")
