"""Events as messages: layout.event, then a JSON object, or the lattice itself."""

import json
import struct

import stapes_spec as spec

from stapes import event as kinds
from stapes.errors import StapesError
from stapes.event import Event
from stapes.lattice import Lattice

LATTICES = (kinds.LATTICE, kinds.SPECULATIVE)
NEWS = (kinds.LISTENING, kinds.SPEECH_START, kinds.PARTIAL, kinds.ENDPOINT, kinds.STATISTICS)


def encode(event):
    """Return an event's message.

    Args:
        event: Event.
    Returns:
        bytes.
    """
    header = struct.pack(
        spec.EVENT_STRUCT, event.kind, 0, event.revision or 0, event.time_ms, (event.utterance or 0) & 0xFFFFFFFF
    )
    if event.kind in LATTICES:
        return header + bytes(event.lattice.data)
    return header + json.dumps(_details(event)).encode()


def _details(event):
    if event.kind == kinds.PARTIAL:
        return {"words": event.words}
    if event.kind in (kinds.INTENT, kinds.CONFIRM):
        return {"intent": event.intent, "slots": event.slots}
    if event.kind == kinds.ERROR:
        error = event.error
        return {"code": error.code, "where": error.where, "detail": error.detail}
    if event.kind == kinds.STATISTICS:
        return event.statistics
    if event.kind == kinds.OVERRUN:
        return {"lost": event.lost}
    return {}


def decode(message):
    """Return the Event in a message.

    Args:
        message: buffer; a lattice's bytes are kept, not copied.
    Raises:
        StapesError: it is none (link_frame), or its lattice is damaged.
    """
    if len(message) < spec.EVENT_BYTES:
        raise StapesError(spec.ERROR_LINK_FRAME, "", "an event of %d bytes" % len(message))
    kind, _, revision, time_ms, utterance = struct.unpack_from(spec.EVENT_STRUCT, message, 0)
    rest = memoryview(message)[spec.EVENT_BYTES :]
    details = {"revision": revision, "utterance": utterance}
    if kind in LATTICES:
        details["lattice"] = lattice = Lattice(rest)
        if kind == kinds.SPECULATIVE:
            details["intent"], details["slots"] = lattice.meaning
        return Event(kind, time_ms, **details)
    found = _object(rest)
    if kind == kinds.ERROR:
        details["error"] = StapesError(found.get("code"), str(found.get("where", "")), str(found.get("detail", "")))
    elif kind == kinds.STATISTICS:
        details["statistics"] = found
    else:
        for name in ("words", "intent", "slots", "lost"):
            details[name] = found.get(name)
    return Event(kind, time_ms, **details)


def _object(data):
    try:
        found = json.loads(bytes(data).decode())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StapesError(spec.ERROR_LINK_FRAME, "", "an event without its JSON object")
    return found
