"""MicroPython's sources: from Debian's source packages, or from a checkout named by MICROPYTHON_DIR.

Debian trixie has MicroPython 1.25.0. The machine's own Debian mirror is asked for it through a
private apt configuration, made at run time from the machine's sources list: nothing of the
machine's own package settings is read into the cache or changed.
"""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from .cache import cached
from .errors import BuildError, DeviceError

MICROPYTHON_VERSION = "1.25.0"
_SUITE = "trixie"
_FETCH_TIMEOUT_S = 300

_NO_SOURCES = (
    f"MicroPython {MICROPYTHON_VERSION} cannot be fetched: {{reason}}; "
    "set MICROPYTHON_DIR to a checkout of MicroPython with its submodules and run this again"
)


def micropython_tree() -> Path:
    """A MicroPython source tree: py/, tools/ and ports/; enough for native modules and QEMU images.

    Raises:
        DeviceError: MICROPYTHON_DIR is no checkout, or nothing could be fetched.
    """
    checkout = _checkout()
    if checkout:
        return checkout
    return cached("micropython", MICROPYTHON_VERSION, _unpack_micropython) / "tree"


def rp2_tree() -> Path:
    """micropython_tree() with lib/pico-sdk, lib/tinyusb and lib/mbedtls filled: for RP2040 images."""
    checkout = _checkout()
    if checkout is None:
        tree = micropython_tree()
        return cached("micropython-rp2", MICROPYTHON_VERSION, lambda folder: _fill_libraries(tree, folder)) / "tree"
    for part in ("lib/pico-sdk/src", "lib/tinyusb/src", "lib/mbedtls/library"):
        if not (checkout / part).is_dir():
            raise DeviceError(
                f"MICROPYTHON_DIR={checkout} lacks {part}; run: make -C {checkout}/ports/rp2 BOARD=RPI_PICO submodules"
            )
    return checkout


def source_identity(tree: Path) -> str:
    """What a build cache must remember of the tree: the version, and for a checkout its path and commit."""
    if _checkout() is None:
        return MICROPYTHON_VERSION
    commit = subprocess.run(
        ["git", "-C", str(tree), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return f"{tree} {commit.stdout.strip()}"


def _checkout() -> Path | None:
    named = os.environ.get("MICROPYTHON_DIR")
    if not named:
        return None
    path = Path(named).expanduser().resolve()
    if not (path / "py" / "dynruntime.h").is_file():
        raise DeviceError(f"MICROPYTHON_DIR={named} is not a MicroPython checkout (no py/dynruntime.h in it)")
    return path


# --- the mirror -------------------------------------------------------------------------------


def _deb822_entries(text: str) -> list[dict[str, str]]:
    entries = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", "\n".join(lines), re.MULTILINE))
        entries.append({key.lower(): value.strip() for key, value in fields.items()})
    return entries


def _one_line_entries(text: str) -> list[dict[str, str]]:
    pattern = re.compile(r"^deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uris>\S+)\s+(?P<suites>\S+)\s+(?P<components>.*)$")
    entries = []
    for line in text.splitlines():
        match = pattern.match(line.strip())
        if match:
            entry = {key: match[key] for key in ("uris", "suites", "components")}
            signed = re.search(r"signed-by=(\S+)", match["options"] or "")
            entries.append({**entry, "signed-by": signed[1]} if signed else entry)
    return entries


def _os_release() -> dict[str, str]:
    path = Path("/etc/os-release")
    text = path.read_text() if path.is_file() else ""
    return {key: value.strip('"') for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)}


def trixie_sources(apt_dir: Path = Path("/etc/apt"), codename: str | None = None) -> str:
    """A deb822 entry for Debian trixie, made from the machine's own entry for its main archive.

    Args:
        apt_dir: where the machine keeps its sources lists.
        codename: the machine's release; read from /etc/os-release when None.
    Raises:
        DeviceError: no entry for Debian's main archive was found.
    """
    release = _os_release()
    if codename is None and release.get("ID") != "debian":
        raise DeviceError(_NO_SOURCES.format(reason="this is not a Debian machine"))
    codename = codename or release.get("VERSION_CODENAME", "")
    entries = []
    for path in sorted((apt_dir / "sources.list.d").glob("*.sources")):
        entries += _deb822_entries(path.read_text())
    for path in [apt_dir / "sources.list", *sorted((apt_dir / "sources.list.d").glob("*.list"))]:
        entries += _one_line_entries(path.read_text()) if path.is_file() else []
    for entry in entries:
        if codename in entry.get("suites", "").split() and "main" in entry.get("components", "").split():
            lines = ["Types: deb deb-src", f"URIs: {entry['uris']}", f"Suites: {_SUITE}", "Components: main"]
            if "signed-by" in entry:
                lines.append(f"Signed-By: {entry['signed-by']}")
            return "\n".join(lines) + "\n"
    raise DeviceError(_NO_SOURCES.format(reason=f"{apt_dir} names no Debian mirror for {codename or 'this release'}"))


class _Apt:
    """apt-get with lists and cache of its own, in a temporary folder."""

    def __init__(self, folder: Path):
        if shutil.which("apt-get") is None:
            raise DeviceError(_NO_SOURCES.format(reason="there is no apt-get here"))
        self.folder = folder
        for part in ("lists/partial", "cache/archives/partial", "download"):
            (folder / part).mkdir(parents=True)
        (folder / "trixie.sources").write_text(trixie_sources())
        self._run("update", "-qq")

    def _run(self, *arguments: str) -> None:
        options = {
            "Dir::Etc::sourcelist": self.folder / "trixie.sources",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": self.folder / "lists",
            "Dir::Cache": self.folder / "cache",
            "APT::Sandbox::User": "root",
        }
        command = ["apt-get", *(f"-o{key}={value}" for key, value in options.items()), *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder / "download",
                capture_output=True,
                text=True,
                timeout=_FETCH_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeviceError(_NO_SOURCES.format(reason=f"apt-get took over {_FETCH_TIMEOUT_S} s")) from None
        if done.returncode:
            words = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            raise DeviceError(_NO_SOURCES.format(reason=words[0] if words else "apt-get failed"))

    def source(self, package: str) -> Path:
        """The original archive of a source package."""
        self._run("source", "-qq", "--download-only", "--only-source", package)
        return self._downloaded(f"{package}_*.orig.tar.*")

    def binary(self, package: str) -> Path:
        self._run("download", "-qq", package)
        return self._downloaded(f"{package}_*.deb")

    def _downloaded(self, pattern: str) -> Path:
        found = [path for path in (self.folder / "download").glob(pattern) if path.suffix != ".asc"]
        if len(found) != 1:
            raise DeviceError(_NO_SOURCES.format(reason=f"apt-get brought no {pattern}"))
        return found[0]


def _extract_single_folder(archive: Path, target: Path) -> None:
    """Unpack an archive that holds one folder, as target."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        with tarfile.open(archive) as tar:
            # Honoured from Python 3.11.4 on; apt has checked the archive's signature in any case.
            tar.extraction_filter = getattr(tarfile, "tar_filter", None)
            tar.extractall(scratch)
        folders = list(Path(scratch).iterdir())
        if len(folders) != 1:
            raise BuildError(f"{archive.name} holds {len(folders)} entries at its top, not one folder")
        folders[0].rename(target)


def _unpack_micropython(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        archive = _Apt(Path(scratch) / "apt").source("micropython")
        if not archive.name.startswith(f"micropython_{MICROPYTHON_VERSION}"):
            raise DeviceError(_NO_SOURCES.format(reason=f"{_SUITE} now has {archive.name}"))
        _extract_single_folder(archive, folder / "tree")
    # The build system asks for this file to see that the submodule is there; we require nothing from it.
    (folder / "tree" / "lib" / "micropython-lib").mkdir(exist_ok=True)
    (folder / "tree" / "lib" / "micropython-lib" / "README.md").touch()


def _fill_libraries(tree: Path, folder: Path) -> None:
    shutil.copytree(tree, folder / "tree", symlinks=True)
    library = folder / "tree" / "lib"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        apt = _Apt(Path(scratch) / "apt")
        for name in ("pico-sdk", "tinyusb"):
            package = apt.binary(f"{name}-source")
            unpacked = Path(scratch) / name
            subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
            shutil.rmtree(library / name, ignore_errors=True)
            shutil.move(unpacked / "usr" / "src" / name, library / name)
        shutil.rmtree(library / "mbedtls", ignore_errors=True)
        _extract_single_folder(apt.source("mbedtls"), library / "mbedtls")
