"""Build the native module stapes_kernels.mpy for a MicroPython that is not ours."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .cache import REPO, cache_dir, cached, content_hash
from .errors import BuildError, DeviceError
from .packages import ARM_PACKAGES, HOST_PACKAGES, RISCV_PACKAGES, require
from .sources import micropython_tree, source_identity

MODULE = "stapes_kernels"
_BINDINGS = REPO / "firmware" / "bindings"
_KERNELS = REPO / "firmware" / "kernels"
_GENERATED = REPO / "firmware" / "spec" / "generated"

# arch: compiler prefix, flags, packages that bring the compiler, libgcc wanted.
_ARCHS: dict[str, tuple[str, list[str], list[str], bool]] = {
    "x64": ("", ["-fno-stack-protector", "-fcf-protection=none", "-msse2"], HOST_PACKAGES, False),
    "armv6m": ("arm-none-eabi-", ["-mthumb", "-mcpu=cortex-m0plus"], ARM_PACKAGES, True),
    "rv32imc": ("riscv64-unknown-elf-", ["-march=rv32imc", "-mabi=ilp32", "-mno-relax"], RISCV_PACKAGES, True),
}

_CFLAGS = [
    "-std=c99",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",
    "-DNDEBUG",
    "-DNO_QSTR",
    "-DMICROPY_ENABLE_DYNRUNTIME",
    "-fpic",
    "-fno-common",
    # A native module has no data section: no tables of addresses.
    "-fno-jump-tables",
    "-fno-asynchronous-unwind-tables",
    "-U_FORTIFY_SOURCE",
]


def kernel_sources() -> list[Path]:
    """The kernels and their border, in the order they are linked."""
    return sorted(_KERNELS.glob("*.c")) + sorted(_BINDINGS.glob("api_*.c"))


def kernel_inputs() -> list[Path]:
    """Every file that a build of the kernels reads."""
    headers = [*_KERNELS.glob("*.h"), *_BINDINGS.glob("*.h"), _GENERATED / "stapes_spec.h"]
    return kernel_sources() + headers + [_BINDINGS / "module_natmod.c", *(_BINDINGS / "natmod").glob("*.c")]


def host_arch() -> str | None:
    """The arch whose native modules run in this machine's unix port, or None."""
    return "x64" if platform.machine() == "x86_64" else None


def build_natmod(arch: str, extra: Sequence[Path] = ()) -> Path:
    """stapes_kernels.mpy for arch, from the cache when no source changed.

    Args:
        arch: x64, armv6m or rv32imc.
        extra: more C files to link.
    Raises:
        DeviceError: unknown arch, no compiler, no MicroPython sources.
        BuildError: the compiler or the linker refused.
    """
    if arch not in _ARCHS:
        raise DeviceError(f"no native module for {arch!r}: choose one of {', '.join(_ARCHS)}")
    prefix, _, packages, _ = _ARCHS[arch]
    require([f"{prefix}gcc"], packages)
    tree = micropython_tree()
    key = content_hash([*kernel_inputs(), *extra, Path(__file__)], arch, source_identity(tree))
    folder = cached(f"natmod-{arch}", key, lambda partial: _Link(arch, tree, partial).run(extra))
    return folder / f"{MODULE}.mpy"


def install_natmod(arch: str, folder: Path) -> Path:
    """Copy the built module to FOLDER/stapes_kernels.mpy."""
    folder.mkdir(parents=True, exist_ok=True)
    built = build_natmod(arch)
    target = folder / built.name
    if not target.is_file() or target.read_bytes() != built.read_bytes():
        shutil.copyfile(built, target)
    return target


class _Link:
    """One build: names, objects, module."""

    def __init__(self, arch: str, tree: Path, folder: Path):
        self.arch, self.tree, self.folder = arch, tree, folder
        prefix, flags, _, self.libgcc = _ARCHS[arch]
        self.compiler = [f"{prefix}gcc", *_CFLAGS, *flags, *_library_headers(prefix)]
        self.config = folder / "config.h"

    def run(self, extra: Sequence[Path]) -> None:
        self._write_names()
        glue = [_BINDINGS / "module_natmod.c"]
        runtime = sorted((_BINDINGS / "natmod").glob("*.c"))
        objects = [self._compile(path) for path in [*glue, *kernel_sources(), *extra]]
        objects += [self._compile(path, "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-w") for path in runtime]
        libraries = self._libraries()
        self._mpy_ld("--qstrs", self.config, *libraries, "-o", self.folder / f"{MODULE}.mpy", *objects)
        for path in objects:
            path.unlink()

    def _write_names(self) -> None:
        """MicroPython's linker looks for names in the text of the sources; ours come out of the method table."""
        names = self.folder / "names.c"
        methods = subprocess.run(
            [*self.compiler[:1], "-E", "-P", "-DST_METHOD(name,signature)=MP_QSTR_##name", "-x", "c",
             _BINDINGS / "st_methods.h"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        # Of MicroPython's headers only what our code reaches: the types that st_call.h names.
        names.write_text(methods.stdout + "MP_QSTR_int MP_QSTR_TypeError\n")
        self._mpy_ld("--preprocess", "-o", self.config, names)

    def _compile(self, source: Path, *flags: str) -> Path:
        target = self.folder / f"{source.stem}.o"
        includes = [self.tree, _BINDINGS, _KERNELS, _GENERATED]
        command = [
            *self.compiler,
            f"-DMICROPY_FLOAT_IMPL=MICROPY_FLOAT_IMPL_{'DOUBLE' if self.arch == 'x64' else 'NONE'}",
            f"-DMP_CONFIGFILE=<{self.config}>",
            *flags,
            *(f"-I{path}" for path in includes),
            *("-c", str(source), "-o", str(target)),
        ]
        _run(command, f"{source.name} does not compile for {self.arch}")
        return target

    def _libraries(self) -> list[str]:
        if not self.libgcc:
            return []
        found = _run([*self.compiler, "-print-libgcc-file-name"], f"no libgcc for {self.arch}")
        return ["-l", found.strip()]

    def _mpy_ld(self, *arguments: str | Path) -> None:
        tool = self.tree / "tools" / "mpy_ld.py"
        words = [str(argument) for argument in arguments]
        command = [sys.executable, str(tool), "--arch", self.arch, *words]
        # mpy_ld leaves its index of libgcc where it runs: keep that, it takes seconds to make.
        _run(command, f"{MODULE}.mpy does not link for {self.arch}", cwd=cache_dir())


def _library_headers(prefix: str) -> list[str]:
    """Debian's RISC-V compiler finds the headers of picolibc only through its specs file."""
    if not prefix.startswith("riscv"):
        return []
    specs = _run([f"{prefix}gcc", "--print-file-name=picolibc.specs"], "no picolibc").strip()
    return [f"-specs={specs}"] if specs != "picolibc.specs" else []


def _run(command: list[str], failure: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise BuildError(f"{failure}:\n{tail}")
    return done.stdout
