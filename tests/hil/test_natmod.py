"""The native module: one file per core, loaded by an interpreter that is not ours."""

import os
import re
import subprocess
import sys

import pytest
from stapes_tools.device.cache import REPO
from stapes_tools.device.errors import DeviceError
from stapes_tools.device.natmod import build_natmod

METHODS = re.findall(
    r'^ST_METHOD\((\w+), "(\w*)"\)', (REPO / "firmware/bindings/st_methods.h").read_text(), re.MULTILINE
)


@pytest.mark.parametrize(("arch", "code"), [("x64", 2), ("armv6m", 4), ("rv32imc", 11)])
def test_header_names_the_core(arch, code):
    """Byte 2 of an .mpy file: architecture and sub-version of the native interface, 6.3."""
    header = build_natmod(arch).read_bytes()[:3]
    assert header == bytes([ord("M"), 6, code << 2 | 3])


def test_unknown_core_is_named():
    with pytest.raises(DeviceError, match="'avr': choose one of x64, armv6m, rv32imc"):
        build_natmod("avr")


@pytest.mark.unix
def test_every_method_is_there(run_unix):
    listed = run_unix("print(' '.join(n for n in dir(k) if n[0] != '_'))")
    assert sorted(listed.split()) == sorted(name for name, _ in METHODS)


@pytest.mark.unix
def test_number_of_arguments_is_checked(run_unix):
    """Each method takes as many arguments as its signature has letters: one more is refused."""
    calls = "\n".join(
        f"try:\n k.{name}(*range({len(signature) + 1}))\nexcept TypeError as e: print(e)" for name, signature in METHODS
    )
    wanted = [
        f"function takes {len(signature)} positional arguments but {len(signature) + 1} were given"
        for _, signature in METHODS
    ]
    assert run_unix(calls).splitlines() == wanted


@pytest.mark.unix
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("k.frontend_init(b'1', b'2')", "frontend_init: argument 1 must be a writable buffer"),
        ("k.frontend_init(7, b'2')", "frontend_init: argument 1 must be a writable buffer"),
        ("k.frontend_steps(7, 1)", "frontend_steps: argument 1 must be a buffer"),
        ("k.frontend_steps(b'', 1.5)", "frontend_steps: argument 2 must be an integer"),
        ("k.frontend_steps(b'', None)", "frontend_steps: argument 2 must be an integer"),
        ("k.frontend_steps(b'', 2**31)", "frontend_steps: argument 2 must be an integer of 32 bits"),
        ("k.frontend_steps(b'', -(2**31) - 1)", "frontend_steps: argument 2 must be an integer of 32 bits"),
        ("k.frontend_steps(b'', 2**64)", "frontend_steps: argument 2 must be an integer of 32 bits"),
        (
            "k.decoder_lattice(bytearray(), b'', bytearray(), 1, '', 0)",
            "decoder_lattice: argument 5 must be an integer",
        ),
        (
            "k.recognizer_step(*[bytearray(8)] * 10)",
            "recognizer_step: argument 10 must be an integer",
        ),
    ],
)
def test_wrong_types_name_method_and_argument(run_unix, call, message):
    program = f"try:\n print({call})\nexcept TypeError as e:\n print(e)"
    assert run_unix(program) == message


@pytest.mark.unix
def test_kernel_errors_come_back_as_numbers(run_unix):
    assert run_unix("print(k.frontend_size() > 0, k.frontend_init(bytearray(1), bytes(80)))") == "True -2"


def test_without_sources_the_unix_port_falls_back(tmp_path):
    """No sources to be had: the stale module goes, a notice names the way out, and the target still succeeds."""
    stale = tmp_path / "unix" / "stapes_kernels.mpy"
    stale.parent.mkdir()
    stale.write_bytes(b"old")
    environment = {**os.environ, "MICROPYTHON_DIR": str(tmp_path), "STAPES_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "stapes_tools.device", "unix-module", str(stale.parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert f"MICROPYTHON_DIR={tmp_path} is not a MicroPython checkout" in done.stderr
    assert "plain Python" in done.stderr
    assert not stale.exists()
