"""Reads and writes lattices in every format that Stapes knows."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stapes_spec as spec

from stapes_tools.errors import UserError
from stapes_tools.lattice.kaldi import kaldi_words, to_kaldi
from stapes_tools.lattice.lattice import SCORE_SCALE, Edge, Lattice, Word, parse
from stapes_tools.lattice.slf import to_slf
from stapes_tools.lattice.views import to_dot, to_svg, to_text

_FLAG_NAMES = {
    "final": spec.LATTICE_FLAGS_FINAL,
    "complete": spec.LATTICE_FLAGS_COMPLETE,
    "truncated": spec.LATTICE_FLAGS_TRUNCATED,
    "context": spec.LATTICE_FLAGS_CONTEXT,
    "rejected": spec.LATTICE_FLAGS_REJECTED,
}
# What lattices say that were written before there was any.
_LATER: dict[str, Any] = {"context": False, "rejected": False, "doubt": 0.0}
_MAX_FILE_BYTES = 16 << 20


def as_json(lattice: Lattice) -> dict:
    """Return a lattice as plain data: from_json() gives the equal lattice back.

    Times are in ms, scores natural logs; `id` counts into `words`.
    """
    best = lattice.best
    return {
        "utterance": lattice.utterance,
        "revision": lattice.revision,
        **{name: bool(lattice.flags & bit) for name, bit in _FLAG_NAMES.items()},
        "text": best.text,
        "intent": lattice.intent,
        "slots": best.slots,
        "doubt": lattice.doubt,
        "nodes": [{"time_ms": time_ms} for time_ms in lattice.nodes],
        "edges": [_edge_as_json(lattice, edge) for edge in lattice.edges],
        "words": [{"text": word.text, "slot": word.slot, "begin": word.begin} for word in lattice.words],
    }


def _edge_as_json(lattice: Lattice, edge: Edge) -> dict:
    return {
        "from": edge.from_node,
        "to": edge.to_node,
        "word": None if edge.word is None else lattice.words[edge.word].text,
        "id": edge.word,
        "start_ms": edge.start_ms,
        "end_ms": edge.end_ms,
        "acoustic": edge.acoustic,
        "language": edge.language,
        "bias": edge.bias,
        "best": edge.best,
    }


def from_json(data: object, path: object = None) -> Lattice:
    """Read what as_json() returned.

    Raises:
        UserError: a field is missing, of the wrong type, or out of range.
    """
    try:
        if not isinstance(data, dict):
            raise TypeError("not an object")
        words = [Word(str(entry["text"]), entry["slot"], bool(entry["begin"])) for entry in data["words"]]
        nodes = [entry["time_ms"] for entry in data["nodes"]]
        edges = [_edge_from_json(entry) for entry in data["edges"]]
        data = _LATER | data
        flags = sum(bit for name, bit in _FLAG_NAMES.items() if data[name])
        lattice = Lattice(nodes, edges, words, data["intent"], data["utterance"], data["revision"], flags)
        lattice.doubt_raw = round(data["doubt"] * lattice.doubt_shares)
        packed = lattice.to_bytes()
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError, struct.error) as error:
        what = f"is JSON, but not a lattice ({type(error).__name__}: {error})"
        raise UserError(what, path=path, advice="give a lattice written by Stapes") from None
    return parse(packed, path)


def _edge_from_json(entry: dict) -> Edge:
    scores = (entry["acoustic"], entry["language"], entry.get("bias", 0.0))
    acoustic, language, bias = (round(score * SCORE_SCALE) for score in scores)
    ends = (entry["from"], entry["to"], entry["id"], entry["start_ms"], entry["end_ms"])
    return Edge(*ends, acoustic, language, bool(entry["best"]), bias)


def _json_text(lattice: Lattice) -> str:
    return json.dumps(as_json(lattice), indent=1, ensure_ascii=False) + "\n"


# Format name -> (file suffix, writer).
FORMATS: dict[str, tuple[str, Callable[[Lattice], str]]] = {
    "json": (".json", _json_text),
    "kaldi": (".lat", to_kaldi),
    "slf": (".slf", to_slf),
    "dot": (".dot", to_dot),
    "text": (".txt", to_text),
    "svg": (".svg", to_svg),
}
BINARY_SUFFIX = ".stl"


def render(lattice: Lattice, form: str) -> str:
    """Return a lattice as text in one of FORMATS."""
    return FORMATS[form][1](lattice)


def form_of(path: str | Path) -> str:
    """Return the format that a file's suffix names; "binary" for .stl.

    Raises:
        UserError: no format has that suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix == BINARY_SUFFIX:
        return "binary"
    for name, (own, _) in FORMATS.items():
        if own == suffix:
            return name
    known = ", ".join([BINARY_SUFFIX, *(own for own, _ in FORMATS.values())])
    raise UserError(f"no lattice format has the suffix {suffix!r}", path=path, advice=f"use one of {known}")


def write_lattice(lattice: Lattice, path: str | Path, form: str | None = None) -> None:
    """Write a lattice; the suffix of path names the format unless form does.

    A Kaldi lattice names its words by number: their table goes beside it, into FILE.words.txt.

    Raises:
        UserError: unknown suffix, or path cannot be written.
    """
    form = form or form_of(path)
    path = Path(path)
    try:
        if form == "binary":
            path.write_bytes(lattice.to_bytes())
        else:
            path.write_text(render(lattice, form), encoding="utf-8")
        if form == "kaldi":
            path.with_suffix(".words.txt").write_text(kaldi_words(lattice), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", path=path, advice="choose another place") from None


def read_lattice(path: str | Path) -> Lattice:
    """Read a binary or JSON lattice, told apart by its first bytes.

    The JSON object of `stapes transcribe --json`, which holds a lattice, is read too.

    Raises:
        UserError: the file cannot be read or is no lattice.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=path, advice="check the name") from None
    if len(data) > _MAX_FILE_BYTES:
        raise UserError("is larger than 16 MB", path=path, advice="give a lattice written by Stapes")
    if not data.lstrip().startswith(b"{"):
        return parse(data, path)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not valid JSON: {error}", path=path, advice="give a lattice written by Stapes") from None
    if isinstance(found.get("lattice"), dict):
        found = found["lattice"]
    return from_json(found, path)
