"""The model file: valid for the public schema, aligned, deterministic, sealed; damage is reported."""

import binascii

import numpy as np
import pytest
import stapes_spec
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.grid import four_bits
from stapes_tools.convert.inspect import describe, totals
from stapes_tools.convert.metadata import Metadata, decode_metadata, encode_metadata, is_sealed, seal
from stapes_tools.convert.quantize import quantise
from stapes_tools.convert.read import metadata_range, read_model
from stapes_tools.convert.split import extract_subgraph
from stapes_tools.convert.topology import Block, random_parameters
from stapes_tools.convert.write import model_bytes, random_calibration, random_model, random_topology
from stapes_tools.errors import UserError
from stapes_tools.grammar.units import units_crc

MODEL = random_model(1)
MODEL_INT4 = random_model(1, bits=4)


def _parsed(data):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))


def test_equal_seeds_give_equal_files():
    assert random_model(1) == MODEL
    assert random_model(2) != MODEL


def test_schema_sees_what_was_written():
    model = _parsed(MODEL)
    assert MODEL[4:8] == b"TFL3"
    assert model.version == 3
    assert [graph.name for graph in model.subgraphs] == [b"encoder", b"predictor", b"joint"]
    codes = {code.builtinCode: (code.deprecatedBuiltinCode, code.version) for code in model.operatorCodes}
    operator = schema.BuiltinOperator
    assert codes == {
        operator.CONCATENATION: (operator.CONCATENATION, 2),
        operator.STRIDED_SLICE: (operator.STRIDED_SLICE, 2),
        operator.CONV_2D: (operator.CONV_2D, 3),
        operator.DEPTHWISE_CONV_2D: (operator.DEPTHWISE_CONV_2D, 3),
        operator.ADD: (operator.ADD, 2),
        operator.GATHER: (operator.GATHER, 2),
    }
    signatures = [(signature.signatureKey, signature.subgraphIndex) for signature in model.signatureDefs]
    assert signatures == [(b"encoder", 0), (b"predictor", 1), (b"joint", 2)]
    assert len(model.buffers[0].data if model.buffers[0].data is not None else b"") == 0


def test_weights_are_symmetric_per_channel():
    model = _parsed(MODEL)
    encoder = model.subgraphs[0]
    by_name = {tensor.name: tensor for tensor in encoder.tensors}
    for name, axis, channels in ((b"front.weight", 0, 24), (b"block0.depthwise.weight", 3, 24), (b"front.bias", 0, 24)):
        quantisation = by_name[name].quantization
        assert quantisation.quantizedDimension == axis
        assert len(quantisation.scale) == len(quantisation.zeroPoint) == channels
        assert not np.any(quantisation.zeroPoint)
    values = np.frombuffer(bytes(model.buffers[by_name[b"front.weight"].buffer].data), np.int8)
    assert values.min() >= -127
    assert np.all(np.abs(values.reshape(24, -1)).max(axis=1) == 127)


def test_encoder_input_is_the_front_ends_scale():
    encoder = _parsed(MODEL).subgraphs[0]
    quantisation = encoder.tensors[encoder.inputs[0]].quantization
    assert quantisation.scale[0] == 2.0**-stapes_spec.FRONTEND_FEATURE_FRACTION_BITS
    assert quantisation.zeroPoint[0] == 0


def test_states_and_joint_share_scales():
    model = read_model(MODEL)
    encoder, joint = model.subgraph("encoder"), model.subgraph("joint")
    for old, new in zip(encoder.inputs[1:], encoder.outputs[1:], strict=True):
        before, after = encoder.tensors[old], encoder.tensors[new]
        assert (before.shape, before.scale, before.zero_point) == (after.shape, after.scale, after.zero_point)
    predictor = model.subgraph("predictor")
    for part, position in ((encoder, 0), (predictor, 1)):
        given_, taken = part.tensors[part.outputs[0]], joint.tensors[joint.inputs[position]]
        assert (given_.scale, given_.zero_point) == (taken.scale, taken.zero_point)


def test_buffers_are_aligned_in_the_file():
    file = schema.Model.GetRootAsModel(MODEL, 0)
    checked = 0
    for index in range(file.BuffersLength()):
        table = file.Buffers(index)._tab
        if table.Offset(4):
            assert table.Vector(table.Offset(4)) % stapes_spec.MODEL_ALIGNMENT == 0
            checked += 1
    assert checked > 20
    assert len(MODEL) % stapes_spec.MODEL_ALIGNMENT == 0


def test_checksum_covers_the_whole_file():
    offset, length = metadata_range(MODEL, "stapes")
    at = offset + stapes_spec.METADATA_FILE_CRC_OFFSET
    stored = int.from_bytes(MODEL[at : at + 4], "little")
    assert stored == binascii.crc32(MODEL[:at] + bytes(4) + MODEL[at + 4 :])
    assert is_sealed(MODEL)
    for position in (100, offset + length - 1, len(MODEL) - 1):
        damaged = bytearray(MODEL)
        damaged[position] ^= 1
        assert not is_sealed(bytes(damaged))
    assert seal(MODEL) == MODEL


def test_metadata_round_trip():
    metadata = Metadata(("<blank>", "é", "b"), tuple(range(-20, 20)), -5, 900, 7)
    model = read_model(MODEL)
    model.metadata["stapes"] = encode_metadata(metadata, 1)
    data = seal(serialise(model))
    assert decode_metadata(data) == metadata
    offset, _ = metadata_range(data, "stapes")
    crc_at = offset + stapes_spec.METADATA_UNITS_CRC_OFFSET
    assert int.from_bytes(data[crc_at : crc_at + 4], "little") == units_crc(metadata.units)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (Metadata(("<blank>", "")), "distinct, not empty"),
        (Metadata(("a", "a")), "distinct"),
        (Metadata(("a", "b\0c")), "without NUL"),
        (Metadata(("a", "b"), prior=(0,) * 39), "39 bands"),
        (Metadata(("a", "b"), blank_penalty=1 << 20), "metadata:"),
    ],
)
def test_bad_metadata_is_refused(metadata, message):
    with pytest.raises(UserError, match=message):
        encode_metadata(metadata, 1)


def test_reading_and_writing_again_changes_nothing():
    assert seal(serialise(read_model(MODEL))) == MODEL


def test_part_keeps_its_tensors():
    whole, part = read_model(MODEL).subgraph("encoder"), read_model(extract_subgraph(MODEL, "encoder"))
    assert part.subgraphs == [whole]
    assert part.metadata == {}
    with pytest.raises(UserError, match=r"no subgraph arbitrator; it has encoder, predictor, joint"):
        extract_subgraph(MODEL, "arbitrator")


def test_damaged_files_are_refused():
    with pytest.raises(UserError, match="identifier TFL3"):
        read_model(b"RIFF")
    with pytest.raises(UserError, match="no Stapes metadata"):
        decode_metadata(extract_subgraph(MODEL, "joint"))
    refused = 0
    for length in range(8, len(MODEL) - 1, 397):
        with pytest.raises(UserError, match="cut short or damaged"):
            read_model(MODEL[:length])
        refused += 1
    assert refused > 40


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([MODEL, MODEL_INT4]), st.data())
def test_a_changed_byte_never_breaks_the_reader(model, data):
    damaged = bytearray(model)
    damaged[data.draw(st.integers(8, len(model) - 1))] = data.draw(st.integers(0, 255))
    try:
        describe(bytes(damaged))
    except UserError as error:
        assert "damaged" in str(error)


def test_costs_are_counted():
    rows = describe(MODEL)
    c, joint, units = 24, 16, 40
    per_step = c * 3 * 120 + (5 + 3) * c + 2 * c * c + joint * c
    assert totals(rows, "encoder").multiplications == per_step
    assert totals(rows, "encoder").weights == per_step
    assert totals(rows, "predictor").weights == units * joint
    assert totals(rows, "predictor").multiplications == 0
    assert totals(rows, "joint").multiplications == units * joint
    assert totals(rows, "joint").constant_bytes == units * joint + 4 * units
    assert totals(rows).weights == sum(row.weights for row in rows)
    dilated = describe(random_model(1, blocks=(Block(3, 4),)))
    state = next(row for row in dilated if row.output == "next_state1")
    assert state.shape == (1, 1, 8, 24)


def test_weight_types_and_zeros_are_counted():
    topology = random_topology()
    parameters = random_parameters(topology, 1)
    mask = np.random.default_rng(0).random(parameters["front.weight"].shape) < 0.75
    parameters["front.weight"][mask] = 0.0
    bits = {**four_bits(topology), "projection": 8}
    result = quantise(topology, parameters, random_calibration(1), weight_bits=bits)
    data = model_bytes(result, Metadata(tuple("u{}".format(k) for k in range(topology.units))))
    rows = {row.output: row for row in describe(data) if row.weights}
    assert {name: row.weight_bits for name, row in rows.items()} == {
        **{name: bits.get(name, 8) for name in result.layers},
        "predicted": 8,
    }
    for name, weights in result.layers.items():
        assert rows[name].zero_weights == np.count_nonzero(weights.integers == 0)
        assert rows[name].weight_dtype == "int{}".format(weights.bits)
        stored = (weights.integers.size * weights.bits + 7) // 8
        assert rows[name].constant_bytes == stored + 4 * len(weights.bias)
    assert rows["front"].zero_weights >= np.count_nonzero(mask)
    table, zero = result.tables[0], result.activations["predicted"].zero_point
    assert rows["predicted"].zero_weights == np.count_nonzero(table == zero)
    assert totals(rows.values()).zero_weights == sum(row.zero_weights for row in rows.values())


def test_reading_and_writing_int4_again_changes_nothing():
    assert seal(serialise(read_model(MODEL_INT4))) == MODEL_INT4
    assert random_model(1, bits=4) == MODEL_INT4
    part = read_model(extract_subgraph(MODEL_INT4, "encoder")).subgraphs[0]
    assert part == read_model(MODEL_INT4).subgraph("encoder")


def test_schema_sees_int4_weights():
    model = _parsed(MODEL_INT4)
    encoder, operator = model.subgraphs[0], schema.BuiltinOperator
    versions = {(code.builtinCode, code.version) for code in model.operatorCodes}
    assert versions >= {(operator.CONV_2D, 3), (operator.CONV_2D, 7), (operator.DEPTHWISE_CONV_2D, 3)}
    weights = next(tensor for tensor in encoder.tensors if tensor.name == b"front.weight")
    assert weights.type == schema.TensorType.INT4
    assert len(model.buffers[weights.buffer].data) == 24 * 3 * 120 // 2
    assert weights.quantization.quantizedDimension == 0 and not np.any(weights.quantization.zeroPoint)


def _positions(data):
    """Where every tensor's scale and zero-point vectors and every operator's options lie in the file."""
    file = schema.Model.GetRootAsModel(data, 0)
    found = {"scale": [], "zero point": [], "quantisation": [], "options": []}
    for k in range(file.SubgraphsLength()):
        part = file.Subgraphs(k)
        for index in range(part.TensorsLength()):
            table = part.Tensors(index).Quantization()
            if table is not None and table.ScaleLength():
                scale, zero_point = (table._tab.Vector(table._tab.Offset(field)) for field in (8, 10))
                found["scale"].append((table.ScaleAsNumpy().tobytes(), scale))
                found["zero point"].append((table.ZeroPointAsNumpy().tobytes(), zero_point))
                key = (table.ScaleAsNumpy().tobytes(), table.ZeroPointAsNumpy().tobytes(), table.QuantizedDimension())
                found["quantisation"].append((key, table._tab.Pos))
        for index in range(part.OperatorsLength()):
            options = part.Operators(index).BuiltinOptions()
            found["options"].append((part.Operators(index).BuiltinOptionsType(), options.Pos))
    return found


def test_equal_vectors_and_tables_are_written_once():
    for what, pairs in _positions(MODEL_INT4).items():
        places = {}
        for key, place in pairs:
            places.setdefault(key, set()).add(place)
        assert len(pairs) > 15
        if what == "options":
            assert len({place for _, place in pairs}) < len(pairs) / 2
        else:
            assert all(len(found) == 1 for found in places.values()), what
            assert len(places) < len(pairs), what


def test_bias_scales_can_be_left_out():
    bare = random_model(1, bits=4, bias_scales=False)
    encoder = read_model(bare).subgraph("encoder")
    biases = [tensor for tensor in encoder.tensors if tensor.name.endswith(".bias")]
    assert len(biases) == 6 and all(tensor.scale == () and tensor.data is not None for tensor in biases)
    assert len(MODEL_INT4) - len(bare) > 4 * sum(tensor.shape[0] for tensor in biases)
