"""What can go wrong on a board: each fault is an event with advice and a pattern of the LED; the link works."""

import json
import struct
import time
import zlib

import pytest
import stapes_spec as spec
from driver import EmulatedDevice, rom_files
from stapes.led import PATTERNS, SLOT_MS
from stapes.model import metadata_offset
from stapes_tools.device.firmware import build_firmware
from stapes_tools.device.romfs import firmware_with_romfs
from stapes_tools.device.uf2 import read_uf2, write_uf2
from talk import Talk

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("hil-faults")]

_HANG = """
import os, time
from stapes import board
from stapes.startup import run
class Silence:
    def readinto(self, samples):
        time.sleep_ms(30)
        return len(samples)
def hang(event):
    if "hang" in os.listdir("/"):
        os.remove("/hang")
        time.sleep(1000)
board.WATCHDOG["timeout_ms"] = 1500
run(hang, microphone=Silence())
"""
# A file that cannot be written to its end holds nothing: many, smaller and smaller.
_FILL = """
def fill(size):
    for k in range(100):
        try:
            with open("/fill%d_%d" % (size, k), "wb") as f: f.write(bytes(size))
        except OSError as error: return error.args[0]
fill(32768)
print(fill(4096))
"""


@pytest.fixture
def started():
    """A function that starts an emulated board as EmulatedDevice does; all are stopped in the end."""
    devices = []

    def start(**options):
        devices.append(EmulatedDevice(**options))
        return devices[-1]

    yield start
    for device in devices:
        device.close()


def shown(device, name, seconds=6.0):
    """Whether the LED comes to show a pattern."""
    wanted = PATTERNS[name]
    edges, deadline = [], device.board.clock().nanoseconds + seconds * 1e9
    period = len(wanted) * SLOT_MS * 1_000_000
    while device.board.clock().nanoseconds < deadline:
        edges += device.led()
        for begin in (at for at, lit in edges if lit):
            if device.board.clock().nanoseconds > begin + period and _slots(edges, begin, len(wanted)) == wanted:
                return True
        time.sleep(0.5)
    return False


def _slots(edges, begin, count):
    """What was on and off from an edge on, slot by slot."""
    slots = ""
    for k in range(count):
        middle = begin + (k + 0.5) * SLOT_MS * 1_000_000
        slots += "#" if [lit for at, lit in edges if at <= middle][-1] else "."
    return slots


def newer_model():
    """The model, as another version of Stapes would have written it."""
    data = bytearray(rom_files(golden=False)["model.tflite"])
    at = metadata_offset(data)
    struct.pack_into("<H", data, at + spec.METADATA_VERSION_OFFSET, spec.VERSION_METADATA + 1)
    crc_at = at + spec.METADATA_FILE_CRC_OFFSET
    data[crc_at : crc_at + 4] = bytes(4)
    struct.pack_into("<I", data, crc_at, zlib.crc32(data))
    return bytes(data)


def bad_flash(path, change):
    """Write a flash whose ROMFS a function changes."""
    image = build_firmware("rp2040_pico")
    parts = read_uf2(firmware_with_romfs(image.uf2, rom_files(golden=False), path))
    rom = bytearray(parts[image.board.romfs_address])
    change(rom)
    parts[image.board.romfs_address] = bytes(rom)
    write_uf2(path, parts)
    return path


def longer_record(rom):
    """The first record says that it reaches beyond the partition."""
    rom[10:14] = b"\xff\xff\xff\x7f"


def other_model_byte(rom):
    """One bit in the model's middle is another."""
    rom[len(rom) // 2] ^= 1


FAULTS = {
    "other version": (lambda path: None, spec.ERROR_MODEL_VERSION, "refused"),
    "damaged model": (lambda path: bad_flash(path, other_model_byte), spec.ERROR_MODEL_CRC, "refused"),
    "damaged ROMFS": (lambda path: bad_flash(path, longer_record), spec.ERROR_ROMFS_DAMAGED, "no_model"),
    "no ROMFS": (lambda path: build_firmware("rp2040_pico").uf2, spec.ERROR_ROMFS_MISSING, "no_model"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_board_without_a_usable_model_says_why(started, tmp_path, figure, fault):
    flash, code, pattern = FAULTS[fault]
    flash = flash(tmp_path / "flash.uf2")
    files = None if flash else {**rom_files(golden=False), "model.tflite": newer_model()}
    device = started(flash=flash, files=files)
    device.wait_for_led()
    with Talk(device) as talk:
        assert talk.about["firmware"] == spec.PROJECT_VERSION and "model" not in talk.about
        error = talk.error(code)
        assert error.advice and error.text
        talk.command(spec.COMMAND_START, {"audio": True})
        failed, answer = talk.reply(spec.COMMAND_START)
        assert failed and answer["code"] == code
        figure("code", code)
        assert shown(device, pattern)
    assert device.run("print(open('/stapes.log').read())").startswith(f"{code} ")


def test_a_full_file_system_is_told(started, figure):
    device = started(files=rom_files(golden=False))
    prompt = device.prompt()
    device.put(prompt, "/main.py", b"from stapes.startup import run\nrun(model='/none.tflite')\n")
    device.put(prompt, "/stapes.log", b"4 what went wrong before\n" * 60)  # too long to lie in its folder's block
    assert prompt.run(_FILL, 60 * device.slowness).strip() == "28"
    device.listen()
    assert shown(device, "storage")
    with Talk(device) as talk:
        assert talk.error(spec.ERROR_FILE).where == "/none.tflite"
        assert "mpremote rm" in talk.error(spec.ERROR_STORAGE_FULL).advice
    figure("code", spec.ERROR_STORAGE_FULL)


def test_a_hung_program_is_restarted_and_told(started, figure):
    device = started(files=rom_files(golden=False))
    prompt = device.prompt()
    device.put(prompt, "/main.py", _HANG.encode())
    device.put(prompt, "/hang", b"")
    device.board.press_reset()
    device.wait_for_led()  # listening
    device.wait_for_led()  # and again, after the watchdog has restarted it
    assert shown(device, "restarted")
    with Talk(device) as talk:
        error = talk.error(spec.ERROR_WATCHDOG, 30)
        assert "in the program that takes the events" in str(error)
    figure("detail", error.detail)
    device.listen()
    with Talk(device) as talk:
        talk.command(spec.COMMAND_STATE)
        talk.reply(spec.COMMAND_STATE)
        assert not any(event.error and event.error.code == spec.ERROR_WATCHDOG for event in talk.events)


OLD, NEW = (json.dumps({"wifi": {"ssid": name * 40, "password": "p" * 300}}).encode() for name in "on")
_REPLACE = "from stapes.storage import replace_file\nreplace_file('/settings.json', {!r})\n"
_READ = "import sys\nwith open('/settings.json', 'rb') as f: sys.stdout.buffer.write(f.read())\n"


def test_power_cut_while_a_file_is_written(started, tmp_path, figure):
    """Wherever it falls, the old or the new file is whole, and the board boots."""
    device = started(files=rom_files(golden=False))
    device.run(_REPLACE.format(OLD))
    before = device.board.keep_flash(tmp_path / "before.bin")
    device.close()
    writes = _writes(started, before)
    found = []
    for cut in sorted({1, 2, writes // 2, writes - 1, writes}):
        found.append(_after_cut(started, before, cut, tmp_path / f"cut{cut}.bin"))
    assert (set(found) <= {OLD, NEW} and OLD in found and NEW in found) or found[0] == OLD, found
    figure("writes to the flash", writes)
    device = started(flash=tmp_path / f"cut{writes // 2}.bin")
    device.wait_for_led()
    with Talk(device) as talk:
        assert talk.about["model_hash"]


def _writes(started, flash):
    """How often the flash is written for the new file."""
    device = started(flash=flash)
    prompt = device.prompt()
    before = device.board.flash_writes()
    prompt.run(_REPLACE.format(NEW), 30 * device.slowness)
    count = device.board.flash_writes() - before
    device.close()
    return count


def _after_cut(started, flash, cut, kept):
    """What the file holds after a power cut in the so-manieth write."""
    device = started(flash=flash)
    prompt = device.prompt()
    device.board.cut_power(cut)
    prompt.start(_REPLACE.format(NEW), 30 * device.slowness)
    deadline = time.monotonic() + 30 * device.slowness
    while device.board.has_power():
        assert time.monotonic() < deadline, "the power was never cut"
        time.sleep(0.1)
    device.board.keep_flash(kept)
    device.close()
    device = started(flash=kept)
    found = device.run(_READ).encode()
    device.close()
    return found


def test_bootsel_held_gives_the_prompt(started):
    """The button ends listening; a prompt feeds no watchdog, and none bites."""
    device = started(files=rom_files(golden=False))
    device.wait_for_led()
    device.board.hold_bootsel(True)
    said, deadline = b"", time.monotonic() + 10 * device.slowness
    while b">>> " not in said:
        assert time.monotonic() < deadline, said
        said += device.board.read(4096, 1)
    device.board.hold_bootsel(False)
    assert b"stapes: stopped; Ctrl-D starts it again" in said
    enabled = "import machine\nprint(machine.mem32[0x40058000] >> 30 & 1, machine.reset_cause() == machine.PWRON_RESET)"
    assert device.run(enabled).split() == ["0", "True"]
