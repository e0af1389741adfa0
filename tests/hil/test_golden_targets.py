"""The golden vectors on RISC-V; on the unix port, the RP2040 and real boards: test_hil_kernels.py."""

import pytest
from stapes_tools.device.natmod import build_natmod
from stapes_tools.device.qemu import QemuBoard

REPLAY = "import run_golden\nrun_golden.main('/rom')\n"


def expected_line(files):
    return f"OK {len(files) - 1} vectors (stapes_kernels)"


@pytest.mark.emulator
def test_native_module_on_the_emulated_riscv(golden_files):
    module = build_natmod("rv32imc")
    with QemuBoard({module.name: module.read_bytes(), **golden_files}) as board:
        assert board.prompt().run(REPLAY, 120).strip() == expected_line(golden_files)
