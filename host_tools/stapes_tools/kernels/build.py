"""Build the kernels for this computer: build/host/libstapes_kernels.so.

The library carries the hash of its sources, so that it is built again only when one of them has
changed. It is moved into place in one step: several processes may build at once.

Usage: python -m stapes_tools.kernels.build [--sanitize address,undefined]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FIRMWARE = ROOT / "firmware"
OUTPUT = ROOT / "build" / "host"
INCLUDES = (FIRMWARE / "kernels", FIRMWARE / "bindings", FIRMWARE / "spec" / "generated")
FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")
COMPILE_TIMEOUT_S = 300


class BuildError(RuntimeError):
    """The compiler is missing or refused the kernels; the message holds its words."""


def sources() -> list[Path]:
    """Return the C files of the library: every kernel and the bindings' methods."""
    return sorted((FIRMWARE / "kernels").glob("*.c")) + sorted((FIRMWARE / "bindings").glob("api_*.c"))


def _headers() -> list[Path]:
    return [header for folder in INCLUDES for header in sorted(folder.glob("*.h"))]


def _digest(command: list[str]) -> str:
    digest = hashlib.sha256(" ".join(command).encode())
    for path in sources() + _headers():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _compile(command: list[str], digest: str, library: Path) -> None:
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        stamp = Path(folder) / "stamp.c"
        stamp.write_text(f'extern const char st_source_hash[];\nconst char st_source_hash[] = "{digest}";\n')
        built = Path(folder) / library.name
        arguments = [*command, *map(str, sources()), str(stamp), "-o", str(built)]
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
        except FileNotFoundError as error:
            raise BuildError(f"no C compiler ({command[0]}): install gcc, or name yours in CC") from error
        if done.returncode:
            raise BuildError(f"{command[0]} refused the kernels:\n{done.stderr}")
        os.replace(built, library)


def build_host(sanitize: str | None = None) -> Path:
    """Compile firmware/kernels and the bindings' methods into a shared library, if out of date.

    Args:
        sanitize: value for the compiler's -fsanitize, for instance "address,undefined"; such a
            library has a name of its own.
    Returns:
        Path: the library.
    Raises:
        BuildError: no compiler, or it found a fault.
    """
    command = [os.environ.get("CC", "gcc"), *FLAGS, *(f"-I{folder}" for folder in INCLUDES)]
    name = "libstapes_kernels"
    if sanitize:
        command += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"]
        name += "_" + sanitize.replace(",", "_")
    library = OUTPUT / f"{name}.so"
    digest = _digest(command)
    if not (library.exists() and digest.encode() in library.read_bytes()):
        _compile(command, digest, library)
    return library


def main() -> int:
    """Build the library and print where it is."""
    parser = argparse.ArgumentParser(description="Build the Stapes kernels for this computer.")
    parser.add_argument("--sanitize", help="for instance: address,undefined")
    try:
        print(build_host(parser.parse_args().sanitize))
    except BuildError as error:
        print(f"stapes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
