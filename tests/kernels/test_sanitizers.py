"""The kernels' own tests again, under the address and undefined-behaviour sanitizers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stapes_tools.kernels import binding, build

HERE = Path(__file__).parent
# These two compile C programs of their own and do not test the library's insides.
NOT_AGAIN = ("test_sanitizers.py", "test_targets.py", "test_host_binding.py")


@pytest.fixture(scope="module")
def sanitized():
    """Environment in which Python uses the sanitized library."""
    library = build.build_host("address,undefined")
    asked = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return {
        **os.environ,
        binding.LIBRARY_VARIABLE: str(library),
        "LD_PRELOAD": asked.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",  # each buffer an allocation of its own, so that its ends are watched
    }


def run_python(arguments, environment):
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)


def test_sanitizers_see_an_overrun(sanitized):
    """The watch works: a kernel misused on purpose is caught."""
    code = (
        "import cffi; from stapes_tools.kernels import binding\n"
        "ffi = cffi.FFI(); ffi.cdef('uint32_t st_crc32(uint32_t, const uint8_t *, uint32_t);')\n"
        "data = bytearray(100)\n"
        "ffi.dlopen(binding.library_path(), ffi.RTLD_LAZY).st_crc32(0, ffi.from_buffer(data), 200)\n"
    )
    done = run_python(["-c", code], sanitized)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr and "st_crc32" in done.stderr


def test_kernel_tests_pass_sanitized(sanitized):
    arguments = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", str(HERE)]
    done = run_python(arguments + [f"--ignore={HERE / name}" for name in NOT_AGAIN], sanitized)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert " passed" in done.stdout
