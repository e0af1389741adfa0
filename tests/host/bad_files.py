"""Models and grammars that a board must refuse, each made from a good one."""

import binascii
import struct
import sys
from pathlib import Path

import numpy as np
import soundfile
import stapes_spec as spec
import tflite
from stapes_tools.convert.metadata import seal
from stapes_tools.convert.read import metadata_range

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from phone_model import phone_model

MODEL = phone_model()
LIGHTS = Path(__file__).resolve().parents[2] / "models" / "grammars" / "lights.yaml"


def changed(data: bytes, at: int, replacement: bytes) -> bytes:
    return data[:at] + replacement + data[at + len(replacement) :]


def with_version(version: int) -> bytes:
    at, _ = metadata_range(MODEL, spec.MODEL_METADATA_NAME)
    return seal(changed(MODEL, at + spec.METADATA_VERSION_OFFSET, struct.pack("<H", version)))


def without_metadata() -> bytes:
    return MODEL.replace(b"stapes\0", b"strpes\0")


def with_unknown_operator() -> bytes:
    """Call an operator by the number of TensorFlow Lite's SIN."""
    model = tflite.Model.GetRootAs(MODEL)
    code = model.OperatorCodes(0)
    data = MODEL
    for slot, form, number in ((4, "<b", tflite.BuiltinOperator.SIN), (10, "<i", tflite.BuiltinOperator.SIN)):
        offset = code._tab.Offset(slot)
        if offset:
            data = changed(data, code._tab.Pos + offset, struct.pack(form, number))
    assert data != MODEL
    return seal(data)


# name: (contents, what the line must say, error of the specification)
MODELS = {
    "empty": (b"", "model_truncated"),
    "cut": (MODEL[: len(MODEL) // 2], "model_truncated"),
    "cut at the end": (MODEL[:-1], "model_crc"),
    "of nothing we know": (b"GIF89a" + bytes(4000), "model_magic"),
    "unknown operator": (with_unknown_operator(), "model_op"),
    "other version": (with_version(99), "model_version"),
    "no metadata": (without_metadata(), "model_metadata"),
    "damaged": (changed(MODEL, len(MODEL) * 3 // 4, b"\xa5\x5a"), "model_crc"),
}


def graph_of(path: Path = LIGHTS) -> bytes:
    from stapes_tools.grammar.compiler import compile_grammar

    return compile_grammar(path)


def sealed_graph(data: bytes) -> bytes:
    data = bytearray(data)
    struct.pack_into("<I", data, spec.GRAPH_CRC_OFFSET, 0)
    struct.pack_into("<I", data, spec.GRAPH_CRC_OFFSET, binascii.crc32(data))
    return bytes(data)


GRAPH = graph_of()
GRAPHS = {
    "empty": (b"", "graph_truncated"),
    "cut": (GRAPH[: len(GRAPH) // 2], "graph_truncated"),
    "of nothing we know": (b"GIF89a" + bytes(4000), "graph_magic"),
    "other version": (sealed_graph(changed(GRAPH, spec.GRAPH_VERSION_OFFSET, b"\x09\0")), "graph_version"),
    "damaged": (changed(GRAPH, len(GRAPH) // 2, b"\xa5\x5a"), "graph_crc"),
    "other units": (sealed_graph(changed(GRAPH, spec.GRAPH_UNITS_CRC_OFFSET, b"abcd")), "graph_units"),
}

GRAMMARS = {
    "not YAML": ("context: [", "g.yaml:"),
    "unclosed bracket": ('context:\n  expressions:\n    a: ["turn [on, off"]\n', "g.yaml:3"),
    "unknown word": ('context:\n  expressions:\n    a: ["turn on the flurbelzimp"]\n', "flurbelzimp"),
    "unknown slot": ('context:\n  expressions:\n    a: ["go $colour:colour"]\n', "colour"),
    "no expressions": ("context: {}\n", "expressions"),
    "empty": ("", "g.yaml"),
}


def error_of(name: str) -> tuple[str, str, str]:
    """Return (fault, text, advice) of the specification's error."""
    return next((fault, text, advice) for own, fault, text, advice in spec.ERRORS.values() if own == name)


def bad_recording(path: Path, case: str) -> Path:
    """Write a recording that must be refused, or nothing for a case without contents; return its path."""
    tone = (np.sin(np.arange(16000) * 0.1) * 20000).astype(np.int16)
    if case == "rate":
        soundfile.write(str(path), tone, 44100)
    elif case == "stereo":
        soundfile.write(str(path), np.stack([tone, tone], 1), 16000)
    elif case == "empty":
        soundfile.write(str(path), tone[:0], 16000)
    elif case == "nothing":
        path.write_bytes(b"")
    elif case == "damaged":
        path.write_bytes(b"RIFF" + bytes(200))
    elif case == "cut":
        soundfile.write(str(path), tone, 16000)
        path.write_bytes(path.read_bytes()[:9000])
    elif case == "gigabyte":
        with open(path, "wb") as file:
            file.truncate(1 << 30)
    return path
