"""Debian packages that the builds need: installed where we may, named where we may not."""

import shutil
import subprocess
from collections.abc import Sequence

from .cache import REPO, cache_dir, lock
from .errors import DeviceError

HOST_PACKAGES = ["gcc", "libc6-dev"]
ARM_PACKAGES = ["gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "libstdc++-arm-none-eabi-newlib"]
RISCV_PACKAGES = ["gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf"]
CMAKE_PACKAGES = ["cmake", "ninja-build", "g++"]
QEMU_PACKAGES = ["qemu-system-misc"]
_INSTALL_TIMEOUT_S = 900


def require(programs: Sequence[str], packages: Sequence[str]) -> None:
    """Make sure that programs are there; install packages through apt-get if not.

    Raises:
        DeviceError: they are missing and cannot be installed here; the text has the command to run.
    """
    # Another process may be installing them: its compiler is there before its headers.
    with lock(cache_dir() / "packages.lock"):
        if not all(shutil.which(program) for program in programs):
            _install(programs, packages)


def _install(programs: Sequence[str], packages: Sequence[str]) -> None:
    command = f"sudo apt-get install {' '.join(packages)}"
    try:
        done = subprocess.run(
            [REPO / "scripts" / "apt_install", *packages],
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"{programs[0]} is needed and could not be installed ({error}); run: {command}") from None
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        reason = done.stderr.strip().splitlines()
        detail = f" ({reason[-1]})" if done.returncode and reason else ""
        raise DeviceError(f"{' and '.join(missing)} missing{detail}; run: {command}")
