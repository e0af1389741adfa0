"""MicroPython on an emulated RISC-V machine: the instruction set of the ESP32-C3, without the chip.

The image is MicroPython's own QEMU port, VIRT_RV32, with nothing of ours in it. Our native module
and every other file reach it as a ROMFS image in its memory.
"""

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from .cache import REPO, cached, content_hash
from .errors import BoardError
from .firmware import mpy_cross, run_tool
from .packages import HOST_PACKAGES, QEMU_PACKAGES, RISCV_PACKAGES, require
from .romfs import build_romfs
from .sources import micropython_tree, source_identity
from .stream import RawPrompt, tail

BOOT_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 3.0
HEAP_BYTES = 1048576
# RAM of the machine `virt` begins at 0x80000000 and has 128 MB; the image takes the first two.
ROMFS_ADDRESS = 0x84000000
_MANIFEST = REPO / "firmware" / "images" / "qemu" / "manifest.py"
_ARCH = ["-march=rv32imac", "-mabi=ilp32"]

_MOUNT = """
import sys, uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({address}, {size})), "/rom")
sys.path.insert(0, "/rom")
"""


def build_qemu() -> Path:
    """firmware.elf of the QEMU port, from the cache when it was built before.

    Raises:
        DeviceError: no compiler, no sources.
        BuildError: a tool failed.
    """
    require(["riscv64-unknown-elf-gcc"], RISCV_PACKAGES)
    require(["make", "gcc"], ["make", *HOST_PACKAGES])
    tree = micropython_tree()
    key = content_hash([_MANIFEST, Path(__file__)], source_identity(tree))
    return cached("qemu-rv32", key, lambda folder: _build(tree, folder)) / "firmware.elf"


def _build(tree: Path, target: Path) -> None:
    libgcc = run_tool(["riscv64-unknown-elf-gcc", *_ARCH, "-print-libgcc-file-name"]).strip()
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        settings = {
            "BOARD": "VIRT_RV32",
            "BUILD": work,
            # GCC 12 knows the CSR instructions as an extension, and has no libraries for a name with it;
            # the older reading of the same name has both.
            "RV32_ARCH": "rv32imac -misa-spec=2.2",
            "LIBS": libgcc,
            "MICROPY_HEAP_SIZE": str(HEAP_BYTES),
            "FROZEN_MANIFEST": str(_MANIFEST),
            "MICROPY_MPYCROSS": str(mpy_cross()),
            "PYTHON": sys.executable,
        }
        words = [f"{key}={value}" for key, value in settings.items()]
        # Of an outer make's flags none may reach this one.
        environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "BOARD")}
        run_tool(["make", "-j2", "-C", str(tree / "ports" / "qemu"), *words], environment)
        (Path(work) / "firmware.elf").rename(target / "firmware.elf")


class QemuBoard:
    """A running emulated RISC-V machine with files under /rom. Use it in a `with` statement.

    Args:
        files: name to contents; what is named NAME.mpy or NAME.py can be imported.
    Raises:
        DeviceError, BuildError: QEMU or its image is not to be had.
    """

    name = "the emulated RISC-V board"

    def __init__(self, files: Mapping[str, bytes]):
        require(["qemu-system-riscv32"], QEMU_PACKAGES)
        elf = build_qemu()
        self._folder = tempfile.TemporaryDirectory()
        rom = Path(self._folder.name) / "rom"
        rom.write_bytes(build_romfs(files))
        self._mount = _MOUNT.format(address=ROMFS_ADDRESS, size=rom.stat().st_size)
        self._said = bytearray()
        machine = ["-machine", "virt", "-bios", "none", "-kernel", str(elf)]
        loader = ["-device", f"loader,file={rom},addr={ROMFS_ADDRESS:#x},force-raw=on"]
        console = ["-display", "none", "-monitor", "none", "-serial", "stdio", "-semihosting"]
        self._process = subprocess.Popen(
            ["qemu-system-riscv32", *machine, *loader, *console],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )

    def prompt(self, timeout_s: float = BOOT_TIMEOUT_S) -> RawPrompt:
        """Take the raw prompt and mount /rom."""
        prompt = RawPrompt(self, timeout_s, fresh=False)
        prompt.run(self._mount, timeout_s)
        return prompt

    def read(self, count: int, timeout_s: float) -> bytes:
        """Up to count bytes of what the board sent; b"" if none came in time.

        Raises:
            BoardError: QEMU has ended.
        """
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], max(timeout_s, 0))[0]:
            return b""
        data = os.read(self._process.stdout.fileno(), count)
        if not data:
            raise self._ended()
        self._said = (self._said + data)[-4096:]
        return data

    def write(self, data: bytes) -> None:
        """Send all of data.

        Raises:
            BoardError: QEMU has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            raise self._ended() from None

    def _ended(self) -> BoardError:
        return BoardError(f"{self.name} ended{tail(bytes(self._said))}")

    def close(self) -> None:
        """Stop the machine."""
        self._process.terminate()
        try:
            self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._folder.cleanup()

    def __enter__(self) -> "QemuBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
