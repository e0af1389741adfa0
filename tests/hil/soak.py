"""Listening for a long time: what is in the heap after each minute of sound must stay the same.

Usage: soak.py [--on unix|emulator|PORT] [--minutes 30] [--report FILE]
Each minute is a spoken order and then silence, taken as fast as the device computes. The exit code is 1 when the heap
grew, or when an order was not understood. Ctrl-C ends it early; the report says how far it came.
"""

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import stapes_spec as spec

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from driver import REPO, EmulatedDevice, open_device, rom_files  # noqa: E402
from stapes import event as kinds  # noqa: E402
from stapes_tools.audio import read_recording  # noqa: E402
from stapes_tools.errors import BoardError  # noqa: E402
from talk import Talk  # noqa: E402

SAMPLE = REPO / "models" / "samples" / "coffee_never_mind.flac"
STEPS_PER_MINUTE = 60_000 // spec.FRONTEND_STEP_MS
SETTLED = 2  # minutes: modules are imported and tables grown by then
_STEP_BYTES = 2 * spec.FRONTEND_STEP_SAMPLES
_LATE_S = 3600.0  # for a minute

MAIN = """
import gc, json
from array import array
from stapes.startup import run
from stapes.storage import replace_file
EACH, MINUTES, STEP = {each}, {minutes}, {step}
speech = open({speech!r}, "rb")  # read bit by bit: a board has no room for all of it
quiet = array("h", bytes(STEP))
kept = []
class Sound:
    def __init__(self):
        self.done = 0
        self.marks = [0] * (MINUTES + 1)  # the order of the minute behind the last says that all are there
    def readinto(self, samples):
        minute, step = divmod(self.done, EACH)
        if minute > MINUTES:
            return 0
        if step == 0:
            gc.collect()
            self.marks[minute] = gc.mem_alloc()
            replace_file({result!r}, json.dumps(self.marks).encode())
            speech.seek(0)
        if not speech.readinto(samples):
            memoryview(samples)[:] = quiet
        self.done += 1
        {leak}
        return len(samples)
run(microphone=Sound())
"""


def spoken():
    """The order, int16 little endian, in whole steps, and a second of silence before it."""
    samples = read_recording(SAMPLE).astype("<i2")
    samples = np.concatenate([np.zeros(spec.AUDIO_SAMPLE_RATE_HZ, "<i2"), samples])
    return samples[: len(samples) // spec.FRONTEND_STEP_SAMPLES * spec.FRONTEND_STEP_SAMPLES].tobytes()


def program(minutes, speech, result, leak=False):
    """The source of the device's main.py."""
    return MAIN.format(
        each=STEPS_PER_MINUTE,
        minutes=minutes,
        step=_STEP_BYTES,
        speech=speech,
        result=result,
        leak="kept.append(bytes(20))" if leak else "pass",
    )


def soak(device, minutes, place, tell=lambda _: None, leak=False):
    """Let a device listen.

    Args:
        device: Device.
        minutes: int, of sound.
        place: str, a folder on the device for the order and for what is measured.
        tell: called with a line for every order.
        leak: plant one.
    Returns:
        (list of int, list): bytes in the heap at the begin of each minute, one more than minutes if none is missing;
        the orders' intents.
    Raises:
        BoardError: the device tells of an error.
    """
    speech, result = f"{place}/speech.pcm", f"{place}/soak.json"
    if device.kind == "unix":
        Path(speech).write_bytes(spoken())
    else:
        device.put(device.prompt(), speech, spoken())
    device.listen(program(minutes, speech, result, leak))
    intents, last = [], -1
    try:
        with Talk(device) as talk:
            while len(intents) <= minutes:
                found = talk.wait(partial(_is_order, last), _LATE_S)
                if found.error is not None:
                    raise BoardError(f"it cannot listen: {found.error}", device.name)
                last = found.utterance
                intents.append(found.intent)
                tell(f"minute {len(intents)}: {found.intent}")
    except KeyboardInterrupt:
        tell("stopped")
    if device.kind == "unix":
        marks = json.loads(Path(result).read_text())
    else:
        marks = json.loads(device.run(f"print(open({result!r}).read())"))
        device.put(device.prompt(), speech, None)
        device.put(device.prompt(), result, None)
    return [mark for mark in marks if mark], intents[:minutes]


def _is_order(last, event):
    return event.error is not None or (event.kind == kinds.INTENT and event.utterance > last)


def growth(marks):
    """Bytes by which the heap grew once all was settled, 0 or less if it did not."""
    return max(marks[SETTLED:]) - marks[SETTLED] if len(marks) > SETTLED else 0


def markdown(on, minutes, marks, intents, seconds):
    """The report of a run."""
    lines = [
        f"# {len(intents)} of {minutes} minutes of listening: {on}",
        "",
        f"Wall time {seconds:.0f} s. Heap after a collection: {marks[0]} bytes at the begin, {marks[-1]} at the end; "
        f"growth after minute {SETTLED}: {growth(marks)} bytes. Orders understood: "
        f"{sum(intent is not None for intent in intents)} of {len(intents)}.",
        "",
        "| Minute | Bytes in the heap |",
        "|---|---|",
    ]
    lines += [f"| {minute} | {mark} |" for minute, mark in enumerate(marks)]
    return "\n".join(lines) + "\n"


def main():
    """Run it and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--on", default="emulator")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--report", type=Path)
    chosen = parser.parse_args()
    device = EmulatedDevice(files=rom_files(golden=False)) if chosen.on == "emulator" else open_device(chosen.on)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            place = folder if chosen.on == "unix" else ""
            marks, intents = soak(device, chosen.minutes, place, lambda line: print(line, flush=True))
        finally:
            device.close()
    text = markdown(chosen.on, chosen.minutes, marks, intents, time.monotonic() - began)
    print(text)
    if chosen.report:
        chosen.report.write_text(text)
    return 1 if growth(marks) > 0 or None in intents or not intents else 0


if __name__ == "__main__":
    sys.exit(main())
