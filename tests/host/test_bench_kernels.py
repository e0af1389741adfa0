"""`stapes bench kernels`: the arithmetic of its rows, their JSON form, the picture, and a computer without valgrind."""

import json

import numpy as np
import pytest
from stapes_tools.bench import host, kernels
from stapes_tools.bench.board import FLASH_BYTES_PER_S
from stapes_tools.bench.kernels import HOST, RP2040, VIPER, Product, Row
from stapes_tools.bench.plot import draw
from stapes_tools.cli.bench import kernel_table
from stapes_tools.cli.main import main
from stapes_tools.convert.zero_skip import decode

ROW = Row("zero-skip int4", RP2040, 0.75, weights=65536, cycles=65536, weight_bytes=12685)
COUNTED = Row("dense int8", HOST, 0.0, weights=65536, cycles=327680, weight_bytes=65536)
VIPER_ROW = Row(VIPER, RP2040, 0.0, weights=65536, cycles=4_000_000, weight_bytes=65536)


def test_figures_per_weight():
    assert ROW.cycles_per_weight == 1.0
    assert ROW.bits_per_weight == pytest.approx(1.5485, abs=1e-4)
    # 12685 bytes at 31 MB/s and 125 MHz are 51149 cycles.
    assert ROW.flash_cycles_per_weight == pytest.approx(12685 / FLASH_BYTES_PER_S * 125e6 / 65536)
    assert COUNTED.cycles_per_weight == 5.0 and COUNTED.flash_cycles_per_weight is None


def test_a_row_of_the_list():
    assert ROW.figures() == {
        "kernel": "zero-skip int4",
        "target": "rp2040",
        "zeros": 0.75,
        "weights": 65536,
        "cycles": 65536,
        "weight_bytes": 12685,
        "counted": "cycles",
        "cycles_per_weight": 1.0,
        "bits_per_weight": 1.548,
        "flash_cycles_per_weight": 0.78,
    }
    assert COUNTED.figures()["counted"] == "instructions"
    assert COUNTED.figures()["flash_cycles_per_weight"] is None


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", kernels.ZEROS)
def test_packed_matrices_hold_as_many_zeros_as_they_say(bits, zeros):
    product = Product("", bits, True, zeros)
    matrix = product.matrix()
    assert np.mean(matrix == 0) == pytest.approx(zeros, abs=1e-4)
    assert np.array_equal(decode(product.weights(), kernels.SIZE, kernels.SIZE, bits)[0], matrix)


def test_a_kernel_that_computes_something_else_is_not_timed():
    product = kernels.PRODUCTS[0]
    sums = product.matrix() @ kernels.vector().astype(int)
    kernels._checked(product, sums)
    with pytest.raises(AssertionError, match="something else"):
        kernels._checked(product, sums + (np.arange(kernels.SIZE) == 7))


@pytest.mark.skipif(not host.is_counting(), reason="valgrind is missing")
def test_instructions_on_this_computer_are_the_same_on_every_run():
    rows = [list(kernels.rows_of(HOST, None, kernels.PRODUCTS[:1], kernels.STEPS[:1])) for _ in range(2)]
    assert rows[0] == rows[1]
    product, step = rows[0]
    assert 2 < product.cycles_per_weight < 10
    assert product.cycles < step.cycles < 2 * product.cycles  # the layer adds bias and requantisation


def test_the_command_prints_rows(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(kernels, "measure", lambda uf2: iter([COUNTED]))
    monkeypatch.setattr(host, "is_counting", lambda: True)
    picture = tmp_path / "kernels.png"
    assert main(["bench", "kernels", "--target", "host", "--json", "--plot", str(picture)]) == 0
    assert json.loads(capfd.readouterr().out) == [COUNTED.figures()]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["bench", "kernels", "--target", "host"]) == 0
    printed = capfd.readouterr().out
    assert "dense int8" in printed and "5.00" in printed and "327,680" in printed


def test_without_valgrind_one_line_says_so(monkeypatch, capfd):
    monkeypatch.setattr(host, "is_counting", lambda: False)
    assert main(["bench", "kernels", "--target", "host", "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == [] and err.count("\n") == 1 and "valgrind" in err


def test_a_picture_that_cannot_be_written_is_refused_first(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(kernels, "measure", lambda uf2: pytest.fail("it has measured"))
    assert main(["bench", "kernels", "--target", "host", "--plot", str(tmp_path / "none" / "k.png")]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_the_table_and_the_picture_hold_both_targets(tmp_path):
    table = kernel_table([ROW, VIPER_ROW, COUNTED])
    assert table.row_count == 3
    draw([ROW, VIPER_ROW, COUNTED], tmp_path / "k.png")
    assert (tmp_path / "k.png").stat().st_size > 10_000
