"""`stapes size` and the memory map: what fits is shown, what does not is an error with the numbers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from stapes_tools.cli.main import main
from stapes_tools.device import board_module, romfs
from stapes_tools.device.boards import board_names, load_board
from stapes_tools.device.errors import BuildError, DeviceError
from stapes_tools.device.memory_map import FLASH, RAM, MemoryMap, Region, check
from stapes_tools.device.romfs import firmware_with_romfs
from stapes_tools.device.uf2 import RP2040_FAMILY, read_uf2, write_uf2

BASE = 0x10000000


def memory(*regions):
    return MemoryMap(load_board("rp2040_pico"), regions, 0)


@pytest.mark.parametrize(
    ("regions", "text"),
    [
        (
            [(FLASH, "image", BASE, 5000), (FLASH, "ROMFS", BASE + 4096, 4096)],
            "flash overlaps: image ends at 0x10001388",
        ),
        ([(FLASH, "file system", BASE + 0x1FF000, 8192)], r"file system \(0x101ff000 to 0x10201000\) leaves the flash"),
        ([(FLASH, "image", BASE - 256, 512)], r"leaves the flash \(0x10000000 to 0x10200000\)"),
        ([(RAM, "static", 0x20000000, 300_000)], "leaves the RAM"),
        ([(FLASH, "ROMFS", BASE, 4096, 5000, "m 5000")], "ROMFS has 4096 bytes, but 5000 are needed: m 5000"),
        (
            [(RAM, "static", 0x20000000, 100), (RAM, "Python heap", 0x20000064, 900, 901, "why")],
            r"RAM overflows: Python heap has 900 bytes \(100 of 270336 are static\), but 901 are needed: why",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_numbers(regions, text):
    with pytest.raises(BuildError, match=text):
        check(memory(*(Region(*region) for region in regions)))


def test_neighbours_fit():
    check(memory(Region(FLASH, "a", BASE, 4096, 4096), Region(FLASH, "b", BASE + 4096, 4096, 0)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("romfs_bytes = 1048576", "romfs_bytes = 1048577"), "romfs_bytes is 1048577; flash is erased in sectors"),
        (("storage_bytes = 393216", "storage_bytes = 1048576"), "leave nothing of 2097152 for the image"),
        (("python_bytes", "snake_bytes"), "KeyError"),
        (("[flash]", "[flash"), "TOMLDecodeError"),
    ],
)
def test_bad_board_file_is_refused(tmp_path, monkeypatch, change, text):
    from stapes_tools.device import boards

    source = (load_board("rp2040_pico").folder / "board.toml").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "board.toml").write_text(source.replace(*change).replace('"rp2040_pico"', '"mine"'))
    monkeypatch.setattr(boards, "_BOARDS", tmp_path)
    with pytest.raises(DeviceError, match=text):
        load_board("mine")


@pytest.mark.parametrize("name", ["rp2040_pico", "rp2350_pico2"])
def test_every_board_knows_its_board_file(name):
    """What is frozen into the image is board.toml without the host's business; it has all that main.py asks for."""
    assert name in board_names()
    board = load_board(name)
    frozen = {}
    exec(board_module.module_source(board), frozen)
    assert frozen["NAME"] == name and "FLASH" not in frozen and "RAM" not in frozen
    assert frozen["LED"] == board.tables["led"] and frozen["MICROPHONE"] == board.tables["microphone"]
    assert frozen["WATCHDOG"]["timeout_ms"] <= 8388, "the most that machine.WDT takes"
    assert frozen["SAFE_MODE"]["pin"] not in frozen["MICROPHONE"].values()
    assert frozen["JOURNAL"]["path"].startswith("/")
    pins = (board.folder / "pins.csv").read_text().splitlines()
    assert f"GP{frozen['SAFE_MODE']['pin']},GPIO{frozen['SAFE_MODE']['pin']}" in pins
    assert any(line.startswith(f"{frozen['LED']['pin']},") for line in pins)
    assert board.romfs_address % 4096 == 0 and board.budget_bytes + board.python_bytes < board.ram_bytes


def test_boards_differ_in_what_their_boot_roms_take():
    families = {load_board(name).uf2_family for name in board_names()}
    assert len(families) == len(board_names())


# --- UF2 ---


def test_overlapping_parts_are_not_written(tmp_path):
    path = tmp_path / "a.uf2"
    with pytest.raises(DeviceError, match="parts overlap: one ends at 0x10000300, the next begins at 0x10000200"):
        write_uf2(path, {BASE: bytes(768), BASE + 512: bytes(256)})
    with pytest.raises(DeviceError, match="a part begins at 0x10000010: UF2 needs a multiple of 256"):
        write_uf2(path, {BASE + 16: bytes(256)})
    assert not path.exists()


def patched(path, block, offset, data):
    raw = bytearray(path.read_bytes())
    at = 512 * block + offset
    raw[at : at + len(data)] = data
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("offset", "data", "text"),
    [
        (12, (BASE).to_bytes(4, "little"), "block 1 overlaps the one before it at 0x10000000"),
        (20, b"\7", "block 1 of 3 says that it is 7 of 3"),
        (24, b"\2", "block 1 of 3 says that it is 1 of 2"),
        (28, b"\x59", "block 1 is for family 0xe48bff59, not 0xe48bff56: for another chip"),
        (8, b"\0\0", "block 1 is for family"),
        (508, b"x", "block 1 is not UF2"),
        (16, b"\xff\xff", "block 1 is not UF2"),
    ],
)
def test_bad_blocks_are_named(tmp_path, offset, data, text):
    path = tmp_path / "a.uf2"
    write_uf2(path, {BASE: bytes(768)})
    patched(path, 1, offset, data)
    with pytest.raises(DeviceError, match=text):
        read_uf2(path)


def test_firmware_for_another_chip_is_refused(tmp_path):
    path = tmp_path / "pico2.uf2"
    write_uf2(path, {BASE: bytes(512)}, load_board("rp2350_pico2").uf2_family)
    assert read_uf2(path) == {BASE: bytes(512)}
    with pytest.raises(DeviceError, match="for another chip"):
        read_uf2(path, RP2040_FAMILY)
    with pytest.raises(DeviceError, match="for another chip"):
        firmware_with_romfs(path, {"a": b"b"}, tmp_path / "all.uf2")


# --- the command ---


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["pico9000"], "pico9000: neither a UF2 file nor a board; boards are: rp2040_pico, rp2350_pico2"),
        (["gone.uf2"], "gone.uf2: cannot be read: No such file or directory; check the path"),
        (["--plot", "no/such/folder/x.png"], "cannot be written: no such folder"),
    ],
)
def test_command_says_what_is_wrong(capsys, words, text):
    assert main(["size", *words]) == 2
    assert text in capsys.readouterr().err


def test_command_refuses_what_is_not_ours(tmp_path, capsys):
    path = tmp_path / "blink.uf2"
    write_uf2(path, {BASE: bytes(512)})
    assert main(["size", str(path)]) == 2
    assert "no firmware of ours is in it; boards are: rp2040_pico" in capsys.readouterr().err
    write_uf2(path, {BASE: b"rp2040_pico".ljust(512)})
    assert main(["size", str(path)]) == 2
    assert "made of another firmware than today's" in capsys.readouterr().err


@pytest.fixture(scope="module")
def flashed(tmp_path_factory):
    """A UF2 file with the shipped model and grammar."""
    from stapes_tools.device.firmware import build_firmware
    from stapes_tools.grammars import compiled
    from stapes_tools.models import default_model

    folder = tmp_path_factory.mktemp("size")
    grammar = Path(__file__).resolve().parents[2] / "models" / "grammars" / "coffee.yaml"
    files = {"model.tflite": default_model(grammar), "grammar.stg": compiled(grammar)}
    return firmware_with_romfs(build_firmware("rp2040_pico").uf2, files, folder / "stapes.uf2")


@pytest.mark.emulator
def test_command_shows_image_romfs_and_what_the_model_needs(flashed, tmp_path, capsys):
    plot = tmp_path / "size.png"
    assert main(["size", str(flashed), "--json", "--plot", str(plot)]) == 0
    found = json.loads(capsys.readouterr().out)
    regions = {row["name"]: row for row in found["regions"]}
    assert sum(row["bytes"] for row in found["regions"] if row["memory"] == "flash") == found["flash_bytes"]
    assert regions["ROMFS"]["used_bytes"] == len(read_uf2(flashed)[regions["ROMFS"]["address"]])
    assert 300_000 < regions["image"]["used_bytes"] < regions["image"]["bytes"]
    budget = load_board("rp2040_pico")
    assert 50_000 < regions["Python heap"]["used_bytes"] - budget.python_bytes <= budget.budget_bytes
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert main(["size", str(flashed)]) == 0
    assert "hot kernels" in " ".join(capsys.readouterr().out.split())


@pytest.mark.emulator
def test_misaligned_files_are_refused(flashed, tmp_path, capsys):
    board = load_board("rp2040_pico")
    parts = read_uf2(flashed)
    record = romfs._file_record("a", b"hello")
    parts[board.romfs_address] = romfs.MAGIC + romfs._uint(len(record), 5) + record
    path = flashed.parent / "odd.uf2"
    write_uf2(path, parts)
    assert main(["size", str(path)]) == 2
    assert "in its ROMFS is not at a multiple of 16 bytes" in capsys.readouterr().err


def test_a_model_that_needs_too_much_is_named():
    board = replace(load_board("rp2040_pico"), python_bytes=51200)
    heap = Region(RAM, "Python heap", 0x20004810, 243_696, 51200 + 240_000, "recogniser's needs 240000, Python 51200")
    static = Region(RAM, "static", 0x20000000, 18_448, 18_448)
    with pytest.raises(BuildError, match=r"243696 bytes .* but 291200 are needed: recogniser's needs 240000"):
        check(MemoryMap(board, (static, heap), 0))
