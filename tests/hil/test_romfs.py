"""ROMFS images: every file where the M0+ can read words, found again by our parser and by MicroPython."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stapes_tools.device.boards import load_board
from stapes_tools.device.emulator import EmulatedBoard
from stapes_tools.device.errors import DeviceError
from stapes_tools.device.romfs import ALIGNMENT, build_romfs, firmware_with_romfs, parse_romfs
from stapes_tools.device.uf2 import read_uf2, write_uf2

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=16)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=8))
def test_files_come_back_aligned(files):
    found = parse_romfs(build_romfs(files))
    assert {file.name: file.data for file in found} == files
    assert [file.name for file in found] == list(files)
    assert all(file.offset % ALIGNMENT == 0 for file in found)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 600_000])
def test_lengths_at_the_edges_of_their_encoding(size):
    data = bytes(range(256)) * (size // 256 + 1)
    files = {"a": b"x", "model.tflite": data[:size], "b": b"y"}
    assert {file.name: file.data for file in parse_romfs(build_romfs(files))} == files


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65])
def test_impossible_names_are_refused(name):
    with pytest.raises(DeviceError, match="cannot be a file name"):
        build_romfs({name: b""})


@pytest.mark.parametrize("damage", [lambda image: b"x" + image[1:], lambda image: image[:-1], lambda _: b""])
def test_damaged_images_are_refused(damage):
    with pytest.raises(DeviceError, match="ROMFS image"):
        parse_romfs(damage(build_romfs({"a": b"contents"})))


def test_uf2_keeps_every_piece(tmp_path):
    parts = {0x10000000: bytes(range(256)) * 3, 0x100A0000: b"\1" * 256}
    write_uf2(tmp_path / "a.uf2", parts)
    assert read_uf2(tmp_path / "a.uf2") == parts


def test_damaged_uf2_is_refused(tmp_path):
    path = tmp_path / "a.uf2"
    write_uf2(path, {0x10000000: bytes(512)})
    good = path.read_bytes()
    for bad in (good[:-1], b"", good[:512] + b"x" + good[513:]):
        path.write_bytes(bad)
        with pytest.raises(DeviceError, match="UF2"):
            read_uf2(path)


def test_partition_is_merged_at_its_address(tmp_path):
    board = load_board("rp2040_pico")
    write_uf2(tmp_path / "firmware.uf2", {board.flash_base: bytes(1024)})
    (tmp_path / "g.stg").write_bytes(b"grammar")
    files = {"model.tflite": b"m" * 40, "g.stg": tmp_path / "g.stg"}
    merged = read_uf2(firmware_with_romfs(tmp_path / "firmware.uf2", files, tmp_path / "all.uf2"))
    assert merged[board.flash_base] == bytes(1024)
    assert {file.name: file.data for file in parse_romfs(merged[board.romfs_address])} == {
        "model.tflite": b"m" * 40,
        "g.stg": b"grammar",
    }


def test_too_much_for_the_partition_is_refused_with_numbers(tmp_path):
    with pytest.raises(DeviceError, match=r"ROMFS holds 1048576 \(model.tflite 1048576\)"):
        firmware_with_romfs(tmp_path / "no.uf2", {"model.tflite": bytes(1 << 20)}, tmp_path / "all.uf2")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DeviceError, match=r"gone\.tflite: cannot be read"):
        firmware_with_romfs(tmp_path / "no.uf2", {"m": tmp_path / "gone.tflite"}, tmp_path / "all.uf2")


_READ_IN_PLACE = """
import uctypes, stapes_kernels
views = {}
for name in ("odd", "table", "logits", "empty"):
    views[name] = memoryview(open("/rom/" + name, "rb"))
    print(name, len(views[name]), uctypes.addressof(views[name]) % 16 if views[name] else 0)
out = bytearray(16)
print(stapes_kernels.log_softmax(views["logits"], views["table"], out))
print(out.hex())
print(stapes_kernels.log_softmax(views["logits"], views["table"][1:], out))
"""


@pytest.mark.emulator
def test_board_reads_files_in_place(image, tmp_path):
    """A table of words read by a kernel straight from flash; one byte off, the kernel refuses it and does not fault."""
    from stapes_reference import log_softmax, log_softmax_table

    table, logits, expected = bytearray(1024), bytes([3, 250, 127, 128, 0, 1, 2, 90]), bytearray(16)
    log_softmax_table(struct.unpack("<i", struct.pack("<f", 0.0625))[0], table)
    steps = log_softmax(logits, table, expected)
    files = {"odd": b"123", "table": bytes(table), "logits": logits, "empty": b""}
    with EmulatedBoard(firmware_with_romfs(image.uf2, files, tmp_path / "flash.uf2")) as board:
        lines = board.prompt().run(_READ_IN_PLACE, 30).split("\n")
    assert lines[:4] == ["odd 3 0", "table 1024 0", "logits 8 0", "empty 0 0"]
    assert lines[4:7] == [str(steps), bytes(expected).hex(), "-1"]
