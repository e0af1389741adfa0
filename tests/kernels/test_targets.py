"""The kernels compile for the boards' cores, hold no data that changes, and use no floating point."""

import re
import shutil
import subprocess

import pytest
from stapes_tools.kernels import build

TARGETS = {
    "armv6m": ("arm-none-eabi-", ["-mcpu=cortex-m0plus", "-mthumb"]),
    "rv32imc": ("riscv64-unknown-elf-", ["-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"]),
}
FLAGS = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-jump-tables", "-ffunction-sections", "-fdata-sections"]
# Names of libgcc's floating-point routines: ARM's run-time ABI and GCC's own.
FLOAT_ROUTINE = re.compile(r"__aeabi_[fd]|__aeabi_[iul]+2[fd]|__\w*[sd]f\d?$")


@pytest.fixture(scope="module", params=TARGETS)
def objects(request, tmp_path_factory):
    """(tool prefix, object files) of every source of the library, for one target."""
    prefix, machine = TARGETS[request.param]
    assert shutil.which(f"{prefix}gcc"), f"{prefix}gcc is missing: install it with scripts/apt_install"
    folder = tmp_path_factory.mktemp(request.param)
    command = [f"{prefix}gcc", *machine, *FLAGS, *(f"-I{path}" for path in build.INCLUDES), "-c"]
    subprocess.run([*command, *map(str, build.sources())], cwd=folder, check=True)
    return prefix, sorted(folder.glob("*.o"))


def output(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=True).stdout


def test_no_mutable_data(objects):
    """A native module cannot carry it, and a kernel must not keep anything between calls."""
    prefix, files = objects
    assert len(files) == len(build.sources())
    for line in output(f"{prefix}size", *files).splitlines()[1:]:
        _, data, bss, _, _, name = line.split()
        assert (data, bss) == ("0", "0"), f"{name} has {data} bytes of .data and {bss} of .bss"


def test_constants_hold_no_addresses(objects):
    """A native module's constants cannot be relocated."""
    prefix, files = objects
    for name in files:
        listing = output(f"{prefix}objdump", "-r", name)
        relocated = re.findall(r"^RELOCATION RECORDS FOR \[(\.rodata[^\]]*)\]", listing, re.M)
        assert not relocated, f"{name.name}: {relocated}"


def test_no_floating_point(objects):
    prefix, files = objects
    for name in files:
        symbols = output(f"{prefix}nm", "-u", name).split()
        assert not [symbol for symbol in symbols if FLOAT_ROUTINE.match(symbol)], name.name


def test_float_routines_are_recognised():
    assert all(map(FLOAT_ROUTINE.match, ("__aeabi_fadd", "__aeabi_d2iz", "__aeabi_i2d", "__aeabi_ui2f", "__mulsf3")))
    assert not any(map(FLOAT_ROUTINE.match, ("__aeabi_lmul", "__aeabi_uidiv", "__muldi3", "memcpy")))
