"""The entry "stapes" of a model's metadata: the twin of st_metadata.c."""

import binascii
import struct

import stapes_spec as spec

from .tensor import RefusedError

_BUFFERS, _METADATA = 4, 6
_NAME, _BUFFER = 0, 1
_DATA = 0


def find(fb, model):
    """Return the entry's data as a vector, empty when there is none."""
    entries = fb.get_vector(model, _METADATA, 4)
    buffers = fb.get_vector(model, _BUFFERS, 4)
    for i in range(entries[1]):
        if fb.damaged:
            break
        entry = fb.table_at(entries, i)
        at, count = fb.get_vector(entry, _NAME, 1)
        if bytes(fb.data[at : at + count]) == spec.MODEL_METADATA_NAME.encode():
            buffer = fb.get_i32(entry, _BUFFER) & 0xFFFFFFFF
            return fb.get_vector(fb.table_at(buffers, buffer), _DATA, 1)
    return (0, 0)


def file_crc(data, at):
    """Return the CRC-32 of a file with the four bytes at a position zero."""
    crc = binascii.crc32(data[:at])
    crc = binascii.crc32(bytes(4), crc)
    return binascii.crc32(data[at + 4 :], crc) & 0xFFFFFFFF


def _has_units(data, at, count, header):
    """Return whether the unit names are as many as the header says, and have its checksum."""
    units = header[10]
    end = at + count
    start = position = at + header[2] + 2 * header[7]
    if not 2 <= units <= spec.MODEL_MAX_UNITS:
        return False
    while units and position < end:
        units -= data[position] == 0
        position += 1
    return units == 0 and binascii.crc32(data[start:position]) & 0xFFFFFFFF == header[15]


def _bad_endpoint(data, at, header):
    """Return the offset of the first bad field of the end-pointers' block, which a model need not have; or -1."""
    if header[2] < spec.METADATA_BYTES + spec.ENDPOINT_BYTES:
        return -1
    block = struct.unpack_from(spec.ENDPOINT_STRUCT, data, at + spec.METADATA_BYTES)
    for k in range(3):
        if not -128 <= block[k] <= 128:
            return spec.METADATA_BYTES + spec.ENDPOINT_SPECULATIVE_THRESHOLD_OFFSET + 2 * k
    for k in range(spec.ENDPOINT_LEAD_STEPS_OFFSET - spec.ENDPOINT_SPECULATIVE_STEPS_OFFSET):
        if block[4 + k] == 0:
            return spec.METADATA_BYTES + spec.ENDPOINT_SPECULATIVE_STEPS_OFFSET + k
    return -1


def _foreign_field(data, at, count, header):
    """Return the offset of the first field that this firmware cannot serve, or -1."""
    if header[2] < spec.METADATA_BYTES:
        return spec.METADATA_HEADER_BYTES_OFFSET
    if header[4] != spec.AUDIO_SAMPLE_RATE_HZ:
        return spec.METADATA_SAMPLE_RATE_HZ_OFFSET
    if header[5] != spec.FRONTEND_FRAME_LENGTH:
        return spec.METADATA_FRAME_LENGTH_OFFSET
    if header[6] != spec.FRONTEND_FRAME_SHIFT:
        return spec.METADATA_FRAME_SHIFT_OFFSET
    if header[7] != spec.FRONTEND_MEL_BANDS:
        return spec.METADATA_MEL_BANDS_OFFSET
    if header[8] != spec.FRONTEND_STACK:
        return spec.METADATA_STACK_OFFSET
    if header[9] > spec.MODEL_MAX_CONTEXT:
        return spec.METADATA_CONTEXT_SIZE_OFFSET
    if not _has_units(data, at, count, header):
        return spec.METADATA_UNIT_COUNT_OFFSET
    return _bad_endpoint(data, at, header)


def check(fb, vector):
    """Check magic, version, the checksum of the whole file, and the front end; raises RefusedError."""
    at, count = vector
    data = fb.data
    if count < spec.METADATA_BYTES or bytes(data[at : at + 4]) != spec.MAGIC_METADATA.encode():
        raise RefusedError(spec.ERROR_MODEL_METADATA, count)
    header = struct.unpack_from(spec.METADATA_STRUCT, data, at)
    if header[1] != spec.VERSION_METADATA:
        raise RefusedError(spec.ERROR_MODEL_VERSION, header[1])
    if file_crc(data, at + spec.METADATA_FILE_CRC_OFFSET) != header[3]:
        raise RefusedError(spec.ERROR_MODEL_CRC, header[3])
    field = _foreign_field(data, at, count, header)
    if field >= 0:
        raise RefusedError(spec.ERROR_MODEL_METADATA, field)
