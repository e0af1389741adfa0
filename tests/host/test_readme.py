"""The README's example runs as it stands, and what it points at exists."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import soundfile
from stapes_tools.device.romfs import build_romfs
from stapes_tools.device.unix import interpreter, module_path, native_module
from stapes_tools.grammar.compiler import compile_grammar

REPO = Path(__file__).resolve().parents[2]
README = (REPO / "README.md").read_text()
MOUNT = "import vfs\nwith open({!r}, 'rb') as image:\n    vfs.mount(vfs.VfsRom(bytearray(image.read())), '/rom')\n"
SAMPLE = REPO / "models" / "samples" / "coffee_large_latte.flac"


def example():
    """The lines a maker writes: there is one Python block in the README."""
    (found,) = re.findall(r"```python\n(.*?)```", README, re.S)
    return found


def run_example(folder, microphone):
    image = folder / "rom.img"
    files = {
        "commands.tflite": (REPO / "models" / "coffee" / "model.tflite").read_bytes(),
        "coffee.stg": compile_grammar(REPO / "models" / "grammars" / "coffee.yaml"),
    }
    image.write_bytes(build_romfs(files))
    environment = {**os.environ, "MICROPYPATH": module_path(native_module()), "STAPES_MICROPHONE": str(microphone)}
    command = [interpreter(), "-X", "heapsize=16M", "-c", MOUNT.format(str(image)) + example()]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_example_has_at_most_six_lines():
    assert len(example().splitlines()) <= 6


@pytest.mark.unix
def test_the_example_runs(tmp_path):
    samples, rate = soundfile.read(str(SAMPLE), dtype="int16")
    soundfile.write(str(tmp_path / "order.wav"), samples, rate)
    done = run_example(tmp_path, tmp_path / "order.wav")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines
    assert all(re.fullmatch(r"\w+ \{.*\}", line) for line in lines), lines


@pytest.mark.unix
def test_the_example_without_a_microphone_says_what_to_do(tmp_path):
    done = run_example(tmp_path, "")
    assert done.returncode == 1
    assert "no microphone is set up; on a PC name a WAV file in STAPES_MICROPHONE" in done.stdout + done.stderr


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_links_lead_somewhere(target):
    assert (REPO / target).exists()


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"^    make ([\w-]+)", README, re.M))))
def test_make_targets_exist(verb):
    makefiles = (REPO / "Makefile").read_text() + (REPO / "firmware" / "build.mk").read_text()
    assert re.search(rf"^{verb}:", makefiles, re.M)
