"""What a board does from power-up on, without a board: LED, watchdog, journal, ROMFS, and the ear that goes on."""

import errno
import os

import pytest
import stapes
import stapes_spec as spec
from scripted_kernels import ScriptedKernels, lattice_bytes
from stapes import event as kinds
from stapes import startup
from stapes import watchdog as stages
from stapes.errors import StapesError
from stapes.journal import MOST_BYTES, Journal
from stapes.led import PATTERNS, SLOT_MS, Led, pattern_of
from stapes.romfs import diagnose
from stapes.startup import Ear, Outside
from stapes.storage import file_bytes, replace_file
from stapes.watchdog import Watchdog
from stapes_tools.device.romfs import build_romfs
from test_downstream import Samples, files_of_one_command
from test_station import Wire

BASE = 0x40058000
SETTINGS = {"timeout_ms": 5000, "base": BASE}


# --- LED ---


def slots(led, pin, begin, count):
    """What the LED does, asked every 20 ms."""
    seen = ""
    for now in range(begin, begin + count * SLOT_MS, 20):
        led.tick(now)
        if (now - begin) % SLOT_MS == 60:
            seen += "#" if pin[-1] else "."
    return seen


def test_led_shows_each_pattern():
    for name, wanted in PATTERNS.items():
        pin = []
        led = Led(pin.append, 0)
        led.show(name, 1000)
        assert slots(led, pin, 1000, 2 * len(wanted)) == 2 * wanted


def test_led_patterns_can_be_told_apart():
    """Each flashes another number of times in the time that all have in common."""
    rows = [name for name in PATTERNS if len(PATTERNS[name]) == 20]
    assert len(rows) == 7
    assert sorted(PATTERNS[name].count("#") for name in rows) == [1, 2, 3, 4, 5, 6, 7]


def test_led_goes_back_to_what_it_showed_before():
    pin = []
    led = Led(pin.append, 0)
    led.show("listening", 0)
    led.show("restarted", 100, 1000)
    led.show("speech", 500)  # waits for its turn
    assert led.name == "restarted"
    led.tick(1100)
    assert led.name == "speech" and pin[-1]


def test_every_error_has_a_pattern():
    assert {pattern_of(code) for code in spec.ERRORS} <= set(PATTERNS)
    assert pattern_of(spec.ERROR_MODEL_VERSION) == pattern_of(spec.ERROR_GRAPH_SIZE) == "refused"
    assert pattern_of(spec.ERROR_INTERNAL) == "fault"


# --- watchdog ---


class Registers(dict):
    """The watchdog's registers: 0 but for what is written."""

    def __missing__(self, address):
        return 0


class Timer:
    """machine.WDT."""

    def __init__(self, registers):
        self.registers, self.fed = registers, 0

    def __call__(self, timeout):
        self.registers[BASE] = 1 << 30 | timeout
        self.registers[BASE + 0x1C] = 0x6AB73121
        return self

    def feed(self):
        self.fed += 1


def hung(registers, stage, times=1):
    """Hang there so often, and return the Watchdog of the start after that."""
    for _ in range(times):
        dog = Watchdog(SETTINGS, registers, Timer(registers))
        dog.start()
        dog.at(stage)
        registers[BASE + 0x08] = 1
    return Watchdog(SETTINGS, registers, Timer(registers))


def test_watchdog_remembers_where_the_program_hung():
    for stage, words in stages.STAGES.items():
        assert hung(Registers(), stage).hung == words


def test_hangs_in_a_row_are_counted_until_all_is_well():
    registers = Registers()
    dog = hung(registers, stages.LINK, 3)
    assert dog.hangs == 3
    dog.well()
    assert hung(registers, stages.LINK).hangs == 1


def test_a_reset_that_was_asked_for_is_no_hang():
    registers = Registers()
    dog = Watchdog(SETTINGS, registers, Timer(registers))
    dog.start()
    registers[BASE + 0x1C] = 0  # watchdog_reboot
    registers[BASE + 0x08] = 2
    assert Watchdog(SETTINGS, registers, Timer(registers)).hung == ""


def test_a_stopped_watchdog_does_not_bite():
    registers = Registers()
    timer = Timer(registers)
    dog = Watchdog(SETTINGS, registers, timer)
    dog.feed()
    dog.start()
    dog.feed()
    dog.stop()
    dog.feed()
    assert timer.fed == 1 and not registers[BASE] & 1 << 30


def test_without_a_watchdog_nothing_happens():
    dog = Watchdog({})
    for action in (dog.start, dog.feed, dog.well, dog.stop):
        action()
    dog.at(stages.LINK)
    assert (dog.hung, dog.hangs) == ("", 0)


# --- files ---


def test_replaced_file_is_new_or_old(tmp_path, monkeypatch):
    path = str(tmp_path / "settings.json")
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert file_bytes(path) == b"new" and os.listdir(tmp_path) == ["settings.json"]

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(StapesError, match="no space is left") as caught:
        replace_file(path, b"newer")
    assert caught.value.code == spec.ERROR_STORAGE_FULL
    assert file_bytes(path) == b"new" and os.listdir(tmp_path) == ["settings.json"]
    with pytest.raises(StapesError) as caught:
        replace_file(str(tmp_path / "none" / "x"), b"")
    assert caught.value.code == spec.ERROR_STORAGE


def test_journal_keeps_the_last_faults(tmp_path):
    journal = Journal(str(tmp_path / "log"))
    assert journal.read() == b""
    error = StapesError(spec.ERROR_MODEL_CRC, "/rom/model.tflite")
    journal.write(error)
    journal.write(error)
    assert journal.read() == f"{spec.ERROR_MODEL_CRC} {error}\n".encode()
    for k in range(60):
        journal.write(StapesError(spec.ERROR_FILE, f"/file{k}"))
    lines = journal.read().decode().splitlines()
    assert len(journal.read()) <= MOST_BYTES and len(lines) > 10
    assert all(line.startswith(f"{spec.ERROR_FILE} /file") for line in lines)
    assert "/file59" in lines[-1]
    Journal("").write(error)


@pytest.mark.parametrize(
    ("partition", "code", "detail"),
    [
        (b"\xff" * 4096, spec.ERROR_ROMFS_MISSING, ""),
        (bytes(4096), spec.ERROR_ROMFS_MISSING, ""),
        (b"UF2 or anything" * 10, spec.ERROR_ROMFS_DAMAGED, "first bytes"),
        (build_romfs({"a": bytes(500)})[:300], spec.ERROR_ROMFS_DAMAGED, "in a partition of 300"),
        (b"\xd2\xcd\x31\x82\x00" + bytes(300), spec.ERROR_ROMFS_DAMAGED, "record at byte"),
        (b"\xd2\xcd\x31" + b"\xff" * 20, spec.ERROR_ROMFS_DAMAGED, "bytes in a partition"),
        (build_romfs({"other": b"x"}).ljust(4096, b"\xff"), spec.ERROR_FILE, "no such file"),
    ],
)
def test_why_a_file_is_not_in_the_romfs(partition, code, detail):
    found = diagnose(StapesError(spec.ERROR_FILE, "/rom/model.tflite", "there is no such file"), partition)
    assert found.code == code and detail in found.detail


def test_other_errors_are_left_alone():
    for error in (StapesError(spec.ERROR_FILE, "/x"), StapesError(spec.ERROR_MODEL_CRC, "/rom/model.tflite")):
        assert diagnose(error, bytes(100)) is error


# --- the ear ---


class Quiet(Outside):
    """Nothing outside, a journal in a folder."""

    def __init__(self, path=""):
        super().__init__()
        self.journal = Journal(path)


def ears(recognizer, microphone, outside=None):
    wire = Wire()
    return Ear(outside or Quiet(), recognizer, microphone, wire), wire


def scripted():
    script = [(0, 1, 0, ())] * 3 + [(1, 0, 0, (0,))] + [(2, k, 1, (0, 1)) for k in range(1, 40)]
    return stapes.Recognizer(*files_of_one_command(), kernels=ScriptedKernels(script, lattice_bytes()))


def turn(ear, times=12):
    """So many turns of the loop; return what it raised."""
    found = []
    for _ in range(times):
        ear._advance()
        while (event := ear._take()) is not None:
            found.append(event)
    return found


@pytest.mark.parametrize("code", [spec.ERROR_MODEL_VERSION, spec.ERROR_ROMFS_MISSING, spec.ERROR_MODEL_MEMORY])
def test_a_host_is_served_without_a_recogniser(code, tmp_path):
    outside = Quiet(str(tmp_path / "log"))
    ear, wire = ears(StapesError(code, "/rom/model.tflite"), Samples(5), outside)
    assert outside.led.name == pattern_of(code)
    assert [event.error.code for event in turn(ear)] == [code]
    assert "model" not in wire.host.about and wire.host.about["firmware"] == spec.PROJECT_VERSION
    wire.command(spec.COMMAND_START, {"audio": True})
    turn(ear)
    assert [event.error.code for event in wire.events()] == [code]
    replies = [payload for kind, payload in wire.heard if kind == spec.FRAME_TYPE_REPLY]
    assert len(replies) == 1 and replies[0][1] == 1 and b'"code": %d' % code in replies[0]
    assert outside.journal.read().startswith(b"%d " % code)


def test_a_full_file_system_is_told_as_well(tmp_path, monkeypatch):
    outside = Quiet(str(tmp_path / "none" / "log"))
    ear, _ = ears(scripted(), StapesError(spec.ERROR_MICROPHONE), outside)
    assert [event.error.code for event in turn(ear)] == [spec.ERROR_MICROPHONE, spec.ERROR_STORAGE]
    assert outside.led.name == "storage"


class Broken:
    """A microphone that fails at its third reading."""

    def __init__(self, error):
        self.error, self.left = error, 3

    def readinto(self, samples):
        self.left -= 1
        if not self.left:
            raise self.error
        return len(samples)


@pytest.mark.parametrize("error", [OSError(5), StapesError(spec.ERROR_MICROPHONE)])
def test_a_microphone_that_fails_is_told_and_the_host_still_served(error):
    ear, wire = ears(scripted(), Broken(error))
    events = turn(ear)
    assert [event.error.code for event in events if event.error] == [spec.ERROR_MICROPHONE]
    wire.command(spec.COMMAND_STATE)
    turn(ear)
    assert any(kind == spec.FRAME_TYPE_REPLY for kind, _ in wire.heard)


def test_the_led_follows_speech():
    ear, _ = ears(scripted(), Samples(60))
    names = []
    for _ in range(60):
        names += [(event.kind, ear._outside.led.name) for event in turn(ear, 1)]
    shown = dict(names)
    assert shown[kinds.LISTENING] == "listening" and shown[kinds.SPEECH_START] == "speech"
    assert shown[kinds.STATISTICS] == "listening"


class Wrong(Samples):
    """A microphone that finds something wrong with what it hears, and can be stopped."""

    def __init__(self, count, code):
        super().__init__(count)
        self._faults = [StapesError(code, "INMP441")]
        self.closed = 0

    def take_fault(self):
        return self._faults.pop() if self._faults else None

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(
    ("code", "pattern"),
    [
        (spec.ERROR_MICROPHONE_SILENT, "deaf"),
        (spec.ERROR_MICROPHONE_STUCK, "deaf"),
        (spec.ERROR_MICROPHONE_CLIPPED, "loud"),
    ],
)
def test_the_led_shows_what_is_wrong_with_the_sound_and_listening_goes_on(code, pattern):
    ear, _ = ears(scripted(), Wrong(60, code))
    names = [(event.kind, ear._outside.led.name) for event in turn(ear, 1)]
    assert (kinds.ERROR, pattern) in names
    assert kinds.SPEECH_START in [event.kind for event in turn(ear, 30)]


def test_the_microphone_stops_with_the_program():
    microphone = Wrong(5, spec.ERROR_MICROPHONE_STUCK)
    ear, _ = ears(scripted(), microphone)
    ear.close()
    assert microphone.closed == 1
    ears(scripted(), Samples(5))[0].close()  # one that cannot be stopped


def run_here(monkeypatch, dog, *functions, **options):
    """startup.run with a Watchdog; the last turn is a Ctrl-C."""
    outside = Quiet()
    outside.watchdog = dog
    wire = Wire()
    wire.close = lambda: None
    turns = []
    tick = outside.tick

    def counted():
        turns.append(1)
        if len(turns) > 20:
            raise KeyboardInterrupt
        tick()

    outside.tick = counted
    startup.run(*functions, transport=wire, outside=outside, **options)
    return wire.events()


def test_a_program_that_fails_is_told(monkeypatch):
    def fails(event):
        raise ZeroDivisionError("ours")

    events = run_here(monkeypatch, Watchdog({}), fails, model="/none.tflite")
    codes = [event.error.code for event in events]
    assert codes[0] == spec.ERROR_FILE and set(codes[1:]) == {spec.ERROR_INTERNAL}
    assert "ZeroDivisionError" in events[1].error.detail


def test_after_a_hang_the_event_says_where(monkeypatch):
    events = run_here(monkeypatch, hung(Registers(), stages.MICROPHONE), model="/none.tflite")
    assert [event.error.code for event in events] == [spec.ERROR_FILE, spec.ERROR_WATCHDOG]
    assert events[1].error.detail == "while it waited for the microphone"


def test_a_board_that_hangs_again_and_again_does_not_listen(monkeypatch):
    heard = []
    events = run_here(monkeypatch, hung(Registers(), stages.PROGRAM, 3), heard.append)
    assert events[0].error.code == spec.ERROR_RESTARTS and "3 times, at last in the program" in str(events[0].error)
    assert not heard


def test_the_button_ends_listening(monkeypatch, capsys):
    outside = Quiet()
    outside._button = lambda: True
    clock = iter(range(0, 100_000, 500))
    monkeypatch.setattr(startup, "ticks_ms", lambda: next(clock))
    wire = Wire()
    wire.close = lambda: None
    startup.run(model="/none.tflite", transport=wire, outside=outside)
    assert capsys.readouterr().out == "stapes: stopped; Ctrl-D starts it again\n"
