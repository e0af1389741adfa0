"""The RP2040 image: build, flash map, and the board that runs it in the emulator."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from stapes_tools.device import sources
from stapes_tools.device.boards import load_board
from stapes_tools.device.emulator import EmulatedBoard
from stapes_tools.device.errors import BoardError, BuildError, DeviceError
from stapes_tools.device.firmware import build_firmware
from stapes_tools.device.memory_map import FLASH, RAM, check, memory_map, table
from stapes_tools.device.packages import require
from stapes_tools.device.romfs import parse_romfs
from stapes_tools.device.uf2 import read_uf2, write_uf2

ECHO = """
import sys, micropython
micropython.kbd_intr(-1)
block = bytearray(64)
for _ in range({blocks}):
    sys.stdin.buffer.readinto(block)
    sys.stdout.buffer.write(block)
micropython.kbd_intr(3)
"""


@pytest.fixture(scope="module")
def board(image):
    with EmulatedBoard(image.uf2) as running:
        yield running


@pytest.fixture(scope="module")
def prompt(board):
    return board.prompt()


def make_firmware(*arguments):
    command = [sys.executable, "-m", "stapes_tools.device", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", ["pico9000", "", "../boards/rp2040_pico"])
def test_unknown_board_is_the_users_mistake(name, tmp_path):
    done = make_firmware("firmware", name, str(tmp_path / "out"), "model.tflite", "grammar.yaml")
    assert done.returncode == 2
    assert done.stderr == f"stapes: there is no board {name!r}; BOARD is one of: rp2040_pico, rp2350_pico2\n"
    assert not (tmp_path / "out").exists()


def test_unknown_verb_shows_the_usage():
    done = make_firmware("bake", "rp2040_pico")
    assert (done.returncode, done.stderr[:6]) == (2, "usage:")


def test_board_file_without_a_field_is_named(tmp_path, monkeypatch):
    from stapes_tools.device import boards

    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "board.toml").write_text('name = "half"\n[flash]\nbase = 0\n[ram]\n')
    monkeypatch.setattr(boards, "_BOARDS", tmp_path)
    with pytest.raises(DeviceError, match=r"boards/half/board\.toml: KeyError\('title'\)"):
        load_board("half")


@pytest.mark.emulator
def test_flash_image_holds_model_and_grammar(image, tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"model" * 100)
    (tmp_path / "g.stg").write_bytes(b"graph" * 10)
    done = make_firmware("firmware", "rp2040_pico", *(str(tmp_path / name) for name in ("out", "m.tflite", "g.stg")))
    assert done.returncode == 0, done.stderr
    assert "/rom: m.tflite 500 bytes, g.stg 50 bytes" in done.stdout
    parts = read_uf2(tmp_path / "out" / "stapes.uf2")
    assert parts[image.board.flash_base] == read_uf2(image.uf2)[image.board.flash_base]
    names = [(file.name, file.data[:5]) for file in parse_romfs(parts[image.board.romfs_address])]
    assert names == [("model.tflite", b"model"), ("grammar.stg", b"graph")]


@pytest.mark.emulator
def test_missing_model_is_named(tmp_path):
    done = make_firmware("firmware", "rp2040_pico", *(str(tmp_path / name) for name in ("out", "m.tflite", "g.yaml")))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "cannot be read" in done.stderr


@pytest.mark.emulator
def test_second_build_comes_from_the_cache(image):
    began = time.monotonic()
    again = build_firmware("rp2040_pico")
    assert again.uf2 == image.uf2
    assert time.monotonic() - began < 2


@pytest.mark.emulator
def test_image_uf2_and_partitions_do_not_overlap(image):
    board = image.board
    ((address, data),) = read_uf2(image.uf2).items()
    assert address == board.flash_base
    assert 300_000 < len(data) <= board.romfs_address - board.flash_base
    assert board.romfs_address + board.romfs_bytes == board.storage_address
    assert board.storage_address + board.storage_bytes == board.flash_base + board.flash_bytes
    assert board.romfs_address % 4096 == 0


@pytest.mark.emulator
def test_overlap_stops_the_build_with_numbers(image):
    greedy = replace(image.board, romfs_bytes=image.board.flash_bytes - image.board.storage_bytes - 4096)
    with pytest.raises(BuildError, match=r"flash overlaps: the image takes \d+ bytes, but ROMFS .* leave 4096 of"):
        check(memory_map(greedy, image.elf, image.map))


@pytest.mark.emulator
def test_too_little_ram_stops_the_build_with_numbers(image):
    hungry = replace(image.board, budget_bytes=200_000)
    with pytest.raises(BuildError, match=r"RAM overflows: Python heap has \d+ .* 251200 are needed: .*budget 200000"):
        check(memory_map(hungry, image.elf, image.map))
    small = replace(image.board, ram_bytes=131072)
    with pytest.raises(BuildError, match=r"Python heap \(0x2000.* to 0x20040000\) leaves the RAM"):
        check(memory_map(small, image.elf, image.map))


@pytest.mark.emulator
def test_memory_map_adds_up(image):
    memory = memory_map(image.board, image.elf, image.map, {"m": 1000, "": 24}, 90_000)
    check(memory)
    for kind, size in ((FLASH, image.board.flash_bytes), (RAM, image.board.ram_bytes)):
        assert sum(region.size for region in memory.regions if region.memory == kind) == size
    static = memory.region(RAM, "static")
    assert 0 < memory.hot_bytes < static.size
    assert memory.region(FLASH, "ROMFS").used == 1024
    shown = table(memory)
    assert f"{memory.hot_bytes} of them hot kernels" in shown and "recogniser's needs 90000" in shown


@pytest.mark.emulator
def test_package_is_frozen_and_reference_is_not(prompt):
    program = "import stapes, stapes_spec, stapes.kernels\nprint(stapes.kernels.NAME, stapes_spec.PROJECT_VERSION)"
    assert prompt.run(program, 30).strip() == "stapes_kernels 0.1.0"
    with pytest.raises(BoardError, match="ImportError: no module named 'stapes_reference'"):
        prompt.run("import stapes_reference", 30)


@pytest.mark.emulator
def test_heap_left_for_the_recogniser(prompt, image):
    program = "import gc, stapes, stapes.service\ngc.collect()\nprint(gc.mem_free())"
    assert int(prompt.run(program, 30)) > image.board.ram_bytes - 110_000


@pytest.mark.emulator
def test_every_byte_passes_both_ways(board, prompt):
    """All 256 values, Ctrl-C and line ends included, as the link needs it."""
    data = bytes(range(256)) * 8 + b"\r\n\x03\x04\x01\n" * 128
    data += bytes(-len(data) % 64)
    prompt.start(ECHO.format(blocks=len(data) // 64))
    board.write(data)
    answer = prompt.leftover()
    deadline = time.monotonic() + 60
    while len(answer) < len(data) + 3 and time.monotonic() < deadline:
        answer += board.read(4096, 5)
    assert answer == data + b"\x04\x04>"


@pytest.mark.emulator
def test_clock_counts_the_boards_own_time(board, prompt):
    before = board.clock()
    prompt.run("import time\ntime.sleep_ms(200)", 30)
    slept = board.clock() - before
    assert 200e6 < slept.nanoseconds < 400e6
    assert slept.cycles < 0.125 * slept.nanoseconds
    assert 0 < board.boot_nanoseconds() < 2e9


@pytest.mark.emulator
def test_endless_program_ends_in_an_error(image):
    """Never hang: the timeout is named, and the board's last words are in the text."""
    with EmulatedBoard(image.uf2) as board:
        prompt = board.prompt()
        with pytest.raises(BoardError, match=r"did not finish the program in 0\.5 s; it last said: last words"):
            prompt.run("print('last words')\nwhile True: pass", 0.5)


@pytest.mark.emulator
def test_board_without_firmware_ends_in_an_error(tmp_path):
    write_uf2(tmp_path / "empty.uf2", {0x10000000: bytes(4096)})
    began = time.monotonic()
    with EmulatedBoard(tmp_path / "empty.uf2") as board, pytest.raises(BoardError, match="RP2040"):
        board.prompt(3)
    assert time.monotonic() - began < 10


@pytest.mark.emulator
def test_dead_emulator_is_reported(image):
    board = EmulatedBoard(image.uf2)
    try:
        board.prompt()
        board._process.kill()
        with pytest.raises(BoardError, match=r"the emulator ended; it last said: .*raw REPL"):
            while True:
                board.read(10, 5)
        with pytest.raises(BoardError, match="the emulator ended"):
            board.clock()
    finally:
        board.close()
    board.close()
    assert board._process.poll() is not None


def test_missing_image_is_named(tmp_path):
    with pytest.raises(DeviceError, match=r"no\.uf2: there is no such image; run: make firmware"):
        EmulatedBoard(tmp_path / "no.uf2")


# --- sources and packages ---------------------------------------------------------------------

DEB822 = """# comment
Types: deb
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.invalid/security
Suites: bookworm-security
Components: main
"""
WANTED = """Types: deb deb-src
URIs: http://mirror.invalid/debian
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def apt_folder(tmp_path, name, text):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(text)
    return tmp_path


def test_trixie_list_comes_from_the_machines_own(tmp_path):
    folder = apt_folder(tmp_path, "sources.list.d/debian.sources", DEB822)
    assert sources.trixie_sources(folder, "bookworm") == WANTED


def test_one_line_lists_are_read_too(tmp_path):
    line = (
        "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
        "http://mirror.invalid/debian bookworm main contrib\n"
    )
    folder = apt_folder(tmp_path, "sources.list", "deb http://mirror.invalid/security x-security main\n" + line)
    assert sources.trixie_sources(folder, "bookworm") == WANTED


def test_machine_without_a_mirror_is_told_the_way_out(tmp_path):
    folder = apt_folder(tmp_path, "sources.list.d/other.sources", DEB822.replace("bookworm ", "sid "))
    with pytest.raises(DeviceError, match=r"no Debian mirror for bookworm; set MICROPYTHON_DIR to a checkout"):
        sources.trixie_sources(folder, "bookworm")


def test_checkout_without_submodules_is_refused(tmp_path, monkeypatch):
    (tmp_path / "py").mkdir()
    (tmp_path / "py" / "dynruntime.h").touch()
    monkeypatch.setenv("MICROPYTHON_DIR", str(tmp_path))
    with pytest.raises(DeviceError, match="lacks lib/pico-sdk/src; run: make -C"):
        sources.rp2_tree()


def test_checkout_builds_native_modules(monkeypatch, tmp_path):
    """A tree given by path is used as it is."""
    from stapes_tools.device.natmod import build_natmod

    tree = sources.micropython_tree()
    monkeypatch.setenv("MICROPYTHON_DIR", str(tree))
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path))
    assert build_natmod("x64").is_relative_to(tmp_path)
    assert not list(tmp_path.glob("micropython*"))


def test_missing_packages_name_the_command(monkeypatch, tmp_path):
    """Where nothing can be installed, the text has the command that somebody else can run."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=r"no-such-compiler missing.*; run: sudo apt-get install no-such-package"):
        require(["no-such-compiler"], ["no-such-package"])
