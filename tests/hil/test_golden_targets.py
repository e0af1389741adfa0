"""The golden vectors on every target that runs here: one script, one set of files."""

import pytest
from stapes_tools.device.emulator import EmulatedBoard
from stapes_tools.device.natmod import build_natmod
from stapes_tools.device.qemu import QemuBoard
from stapes_tools.device.romfs import firmware_with_romfs

REPLAY = "import run_golden\nrun_golden.main('/rom')\n"


def expected_line(files):
    return f"OK {len(files) - 1} vectors (stapes_kernels)"


@pytest.mark.unix
def test_native_module_on_the_unix_port(run_unix, golden_folder, golden_files):
    program = f"import sys\nsys.path.append({str(golden_folder)!r})\nimport run_golden\n"
    vectors = str(golden_folder / "vectors")
    assert run_unix(program + f"run_golden.main({vectors!r})") == expected_line(golden_files)


@pytest.mark.emulator
def test_image_on_the_emulated_rp2040(image, golden_files, tmp_path):
    with EmulatedBoard(firmware_with_romfs(image.uf2, golden_files, tmp_path / "flash.uf2")) as board:
        assert board.prompt().run(REPLAY, 300).strip() == expected_line(golden_files)


@pytest.mark.emulator
def test_native_module_on_the_emulated_riscv(golden_files):
    module = build_natmod("rv32imc")
    with QemuBoard({module.name: module.read_bytes(), **golden_files}) as board:
        assert board.prompt().run(REPLAY, 120).strip() == expected_line(golden_files)
