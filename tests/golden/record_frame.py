"""Traces of the link's frames: sealed, taken in pieces, damaged, of another version, too long."""

import binascii
import random
import struct

import stapes_spec as spec

START = spec.FRAME_BUFFER_START
PAYLOAD = START + 1 + spec.FRAME_BYTES
COUNT = spec.FRAME_INDEX_COUNT
OUT = 1200


def header(*values):
    """The bytes of a state or of fields: zeros, then these values."""
    return struct.pack(f"<{COUNT}I", *([0] * (COUNT - len(values)) + list(values)))


def payloads():
    """Yield payloads: empty, random, without zeros in long runs, zeros alone, the longest."""
    source = random.Random(13)
    yield b""
    yield source.randbytes(90)
    yield b"\x01" * 254 + b"\0" + b"\x02" * 255
    yield bytes(300)
    yield bytes([source.randrange(1, 256) for _ in range(spec.FRAME_PAYLOAD)])


def sealing(recorder):
    """Each payload as a frame, sequence numbers wrapping, with and without padding."""
    fields = recorder.data(header(18, 0, 0xFFFE, 0x80000001, 77, 129, 128, 0xABCD))
    out = recorder.zeros(OUT)
    for payload in payloads():
        slot = recorder.data(payload)
        for block in (1, 64):
            size = recorder.call("frame_seal", out, fields, slot, block)
            recorder.expect(out, 0, size)
            recorder.expect(fields)
    recorder.call("frame_seal", out.piece(0, 21), fields, recorder.zeros(0), 1)
    recorder.call("frame_seal", out, fields, recorder.zeros(0), 0)


def stream():
    """Frames, one of them damaged, one of another version, one cut, and one without end."""
    import stapes_reference as kernels

    fields, out = bytearray(header(18, 0, 1, 2, 3, 4, 5, 6)), bytearray(OUT)
    frames = []
    for payload in payloads():
        size = kernels.frame_seal(out, fields, payload, 64)
        frames.append(bytes(out[:size]))
    damaged = bytearray(frames[1])
    damaged[30] ^= 4
    body = bytes([1, 1, 0, 0])
    crc = struct.pack("<I", binascii.crc32(body))
    stranger = b"\x03\x01\x01\x01\x05" + crc + b"\0"
    parts = [frames[0], bytes(damaged), frames[2], stranger, frames[3][:20] + b"\0", frames[1], b"\x55" * 1300 + b"\0"]
    return b"".join([*parts, frames[4], frames[0]])


def taking(recorder):
    """The stream, as much as the buffer takes at once, each payload compared."""
    data = stream()
    buffer = recorder.zeros(START + 1216)
    state = recorder.data(header())
    recorder.write(state, 4 * spec.FRAME_INDEX_FILL, struct.pack("<I", START))
    recorder.write(state, 4 * spec.FRAME_INDEX_SCAN, struct.pack("<I", START))
    at = 0
    while at < len(data):
        (fill,) = struct.unpack_from("<I", state.buffer, 4 * spec.FRAME_INDEX_FILL)
        part = data[at : at + min(400, len(buffer.buffer) - fill)]
        at += len(part)
        recorder.write(buffer, fill, part)
        recorder.write(state, 4 * spec.FRAME_INDEX_FILL, struct.pack("<I", fill + len(part)))
        found = 1
        while found:
            found = recorder.call("frame_take", buffer, state)
            recorder.expect(state)
            if found == 1:
                (end,) = struct.unpack_from("<I", state.buffer, 4 * spec.FRAME_INDEX_END)
                recorder.expect(buffer, PAYLOAD, end - PAYLOAD)
    recorder.call("frame_take", buffer, state.piece(0, 48))


TRACES = {"frame_seal": sealing, "frame_take": taking}
