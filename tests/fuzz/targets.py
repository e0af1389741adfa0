"""Build the fuzz targets of the C kernels: libFuzzer, the address and the undefined-behaviour sanitizer.

The kernels and the bindings' methods become one archive, each target fuzz_NAME.c is linked with it. Whatever
was built lies in a folder named by the hash of its sources and flags, and is built again only when they change.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from stapes_tools.device import packages
from stapes_tools.kernels import build

HERE = Path(__file__).parent
OUTPUT = build.ROOT / "build" / "fuzz"
TARGETS = ("model", "zero_skip", "graph", "decoder", "frontend", "frame")
COMMON = (HERE / "fuzz_util.c", HERE / "fuzz_run_model.c")
CLANG_PACKAGES = ["clang-14", "libclang-rt-14-dev", "llvm-14"]
FLAGS = ("-std=c99", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-omit-frame-pointer")
# How a target is watched: while it is fuzzed, and while the lines it reaches are counted.
WATCHES = {
    "sanitizers": ("-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=all"),
    "coverage": ("-fsanitize=fuzzer-no-link", "-fprofile-instr-generate", "-fcoverage-mapping"),
}
COMPILE_TIMEOUT_S = 600


def tool(name):
    """Return the program of LLVM, installed through apt-get when there is none: clang, llvm-cov, llvm-profdata."""
    if not (shutil.which(name) or shutil.which(f"{name}-14")):
        packages.require([f"{name}-14"], CLANG_PACKAGES)
    return f"{name}-14" if shutil.which(f"{name}-14") else name


def _command(watch):
    return [tool("clang"), *FLAGS, *WATCHES[watch], *(f"-I{folder}" for folder in (*build.INCLUDES, HERE))]


def _headers():
    return [path for folder in (*build.INCLUDES, HERE) for path in sorted(folder.glob("*.h"))]


def _folder(command, sources):
    """The folder for what a command makes of C files."""
    digest = hashlib.sha256(" ".join(command).encode())
    for path in [*sources, *_headers()]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    folder = OUTPUT / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False, **options)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stderr}"


def archive(watch):
    """Return the kernels as an archive, built if need be."""
    command, sources = _command(watch), build.sources()
    library = _folder(command, sources) / "libkernels.a"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            _run([*command, "-c", *map(str, sources)], cwd=folder)
            objects = sorted(path.name for path in Path(folder).glob("*.o"))
            _run(["ar", "rcs", library.name, *objects], cwd=folder)
            os.replace(Path(folder) / library.name, library)
    return library


def build_target(name, watch="sanitizers", instead=()):
    """Return the executable of a fuzz target, built if need be.

    Args:
        name: one of TARGETS.
        watch: one of WATCHES.
        instead: C files to take in the place of the kernels' of the same contents otherwise.
    """
    library = archive(watch)
    sources = [HERE / f"fuzz_{name}.c", *COMMON, *instead]
    command = [*_command(watch), "-fsanitize=fuzzer"]
    program = _folder([*command, library.parent.name], sources) / f"fuzz_{name}"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            built = Path(folder) / program.name
            # What is defined before the archive is not taken from it.
            _run([*command, *map(str, sources), str(library), "-o", str(built)])
            os.replace(built, program)
    return program
