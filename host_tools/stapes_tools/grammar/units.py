"""The acoustic model's units: blank, then the 39 ARPAbet phones without stress, alphabetical."""

import zlib

BLANK = "<blank>"

PHONES = (
    *(
        "AA",
        "AE",
        "AH",
        "AO",
        "AW",
        "AY",
        "B",
        "CH",
        "D",
        "DH",
        "EH",
        "ER",
        "EY",
        "F",
        "G",
        "HH",
        "IH",
        "IY",
        "JH",
        "K",
    ),
    *("L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)

UNITS = (BLANK, *PHONES)

UNIT_INDEX = {name: index for index, name in enumerate(UNITS)}


def units_block(units=UNITS) -> bytes:
    """Join the unit names as the model's metadata holds them: UTF-8, each NUL-terminated."""
    return b"".join(name.encode() + b"\0" for name in units)


def units_crc(units=UNITS) -> int:
    """CRC-32 of the unit names block: a graph and a model belong together when theirs agree."""
    return zlib.crc32(units_block(units))
