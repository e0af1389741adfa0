"""`stapes model` shows what a layer's weights are, how many are zero, and what they take."""

import re

from stapes_tools.cli.main import main
from stapes_tools.convert.inspect import describe, totals
from stapes_tools.convert.write import random_model


def _lines(capfd, path):
    assert main(["model", str(path)]) == 0
    return capfd.readouterr().out.splitlines()


def test_int4_layers_are_told_from_int8_ones(capfd, tmp_path):
    data = random_model(1, bits=4)
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    lines = _lines(capfd, path)
    rows = {row.output: row for row in describe(data) if row.weights}
    for name, row in rows.items():
        line = next(line for line in lines if re.search(rf"\s{re.escape(name)}\s", line))
        share = "{:.1f} %".format(100 * row.zero_weights / row.weights)
        assert f" {row.weights:,} {row.weight_dtype} " in line and share in line
        assert f" {row.constant_bytes:,} " in line
    whole, four = totals(rows.values()), sum(row.weights for row in rows.values() if row.weight_bits == 4)
    assert four > whole.weights // 2
    summary = " ".join(lines[-3:])
    assert f"{len(data):,} bytes; {whole.weights:,} weights" in summary
    assert f"({four:,} int4, {whole.weights - four:,} int8)" in summary
    assert re.search(r"\d+\.\d % of them zero", summary)
