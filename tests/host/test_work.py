"""Multiplications counted from model files: against counting by hand, and the same however weights are stored."""

import numpy as np
import pytest
from stapes_tools.cli.main import main
from stapes_tools.convert import decode_form
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model, Subgraph, Tensor
from stapes_tools.convert.inspect import describe, totals
from stapes_tools.convert.pack import pack, pack_for_decode
from stapes_tools.convert.read import read_model
from stapes_tools.convert.topology import Branching
from stapes_tools.convert.work import Work, require_branches, work_of
from stapes_tools.convert.write import random_model
from stapes_tools.errors import UserError
from stapes_tools.models import REPO

GENERAL = (REPO / "models" / "general" / "model.tflite").read_bytes()


def layered():
    """A 2-D convolution at 3 × 2 positions, a depthwise one, a fully connected layer and a product, int8."""
    part = Subgraph("main")
    scale = {"scale": (0.5,), "zero_point": (0,)}

    def activation(name, *shape):
        return part.add(Tensor(name, shape, "int8", **scale))

    x, y, z = activation("x", 1, 4, 3, 2), activation("y", 1, 3, 2, 4), activation("z", 1, 3, 2, 4)
    kernel = np.ones((4, 2, 2, 2), np.int8)
    kernel.ravel()[:5] = 0
    depthwise = np.zeros((1, 3, 3, 4), np.int8)
    part.operate("CONV_2D", [x, part.constant("k", kernel, **scale), -1], [y], Padding=1, StrideW=1, StrideH=1)
    part.operate("DEPTHWISE_CONV_2D", [y, part.constant("d", depthwise, **scale), -1], [z], StrideW=1, StrideH=1)
    p, q, r = activation("p", 1, 8), activation("q", 1, 5), activation("r", 1, 5)
    matrix = np.full((5, 8), 3, np.int8)
    matrix[:, ::2] = 0
    part.operate("FULLY_CONNECTED", [p, part.constant("m", matrix, **scale), -1], [q])
    product = part.add(Tensor("s", (1, 5), "int8", **scale))
    part.operators.append(decode_form.Operator("MUL", [q, r], [product], table="MulOptions", version=2))
    part.inputs, part.outputs = [x, p, r], [z, product]
    return serialise(Model([part]))


def test_each_kind_of_layer():
    rows = {row.operator: row for row in describe(layered())}
    assert rows["CONV_2D"].work == 6 * (4 * 8 - 5) and rows["CONV_2D"].multiplications == 6 * 32
    assert rows["DEPTHWISE_CONV_2D"].work == 24 * 9, "a depthwise kernel counts in full, zeros or not"
    assert rows["FULLY_CONNECTED"].work == 5 * 4 and rows["FULLY_CONNECTED"].multiplications == 40
    assert rows["MUL"].work == 5 and rows["MUL"].multiplications == 0
    assert totals(rows.values()).work == sum(row.work for row in rows.values())


def counted_by_hand(data, name):
    part = read_model(data).subgraph(name)
    weights = {tensor.name: tensor.array() for tensor in part.tensors if tensor.name.endswith("weight")}
    depthwise = sum(array.size for key, array in weights.items() if "depthwise" in key)
    return depthwise + sum(int(np.count_nonzero(a)) for key, a in weights.items() if "depthwise" not in key)


@pytest.mark.parametrize("data", [GENERAL, random_model(1), random_model(2, bits=4)], ids=["general", "int8", "int4"])
def test_a_step_of_our_models(data):
    work = work_of(data)
    assert work.heavy == counted_by_hand(data, "encoder") > 0
    assert work.joint == counted_by_hand(data, "joint") > 0
    assert (work.light, work.arbitrator, work.predictor, work.has_branches) == (0, 0, 0, False)


def test_packed_weights_count_the_same():
    packed = pack(GENERAL)[0]
    assert packed != GENERAL and work_of(packed) == work_of(GENERAL)
    rows = [row for row in describe(packed) if row.operator.endswith("packed")]
    assert rows and all(0 < row.work <= row.multiplications_done < row.multiplications for row in rows)


def test_weights_that_decode_expands_count_the_same():
    form = pack_for_decode(GENERAL)[0]
    assert any(row.operator == decode_form.KIND for row in describe(form))
    assert work_of(form) == work_of(GENERAL)


def test_a_model_with_branches():
    data = random_model(3, branching=Branching((1,), arbitrator_channels=4, arbitrator_width=6))
    for file in (data, pack(data)[0]):
        work = work_of(file)
        assert work.has_branches
        assert work.light == counted_by_hand(data, "encoder_light")
        assert work.arbitrator == counted_by_hand(data, "arbitrator") > 6 * 4
        assert 0 < work.arbitrator < work.light < work.heavy == counted_by_hand(data, "encoder")


def test_inspection_compares_the_branches(tmp_path, capfd):
    path = tmp_path / "model.tflite"
    path.write_bytes(random_model(3, branching=Branching((1,))))
    assert main(["inspect", str(path)]) == 0
    work = work_of(path.read_bytes())
    less = f"{100 * (1 - work.light / work.heavy):.1f} % less"
    said = (
        f"work: {work.heavy:,} multiplications per step in the heavy branch or {work.light:,} in the light one ({less})"
    )
    assert said in capfd.readouterr().out


WORK = Work(heavy=1000, light=200, arbitrator=50, predictor=3, joint=40, has_branches=True)


def test_what_an_utterance_multiplies():
    assert WORK.encoder(10, 4) == 10 * 50 + 6 * 1000 + 4 * 200
    assert WORK.search(7) == 7 * 43
    assert WORK.saved(10, 10) == 1 - 250 / 1000
    assert WORK.saved(10, 0) == 1 - 1050 / 1000, "the arbitrator is paid for where it chooses the heavy branch"
    assert Work(0, 0, 0, 0, 5, False).saved(0, 0) == 0


def test_an_effort_needs_branches(tmp_path):
    require_branches(WORK, tmp_path)
    require_branches(None, tmp_path)
    with pytest.raises(UserError, match=r"m.tflite: the model has no light branch.*give a model with branches"):
        require_branches(work_of(GENERAL), "m.tflite")


def test_inspection_says_what_a_step_needs(tmp_path, capfd):
    path = tmp_path / "model.tflite"
    path.write_bytes(GENERAL)
    assert main(["inspect", str(path)]) == 0
    work = work_of(GENERAL)
    said = capfd.readouterr().out
    assert f"work: {work.heavy:,} multiplications per step in the encoder, {work.joint:,} in each evaluation" in said
    totals_line = next(line for line in said.splitlines() if line.startswith("total"))
    assert totals_line.split()[-1] == f"{work.heavy:,}"
