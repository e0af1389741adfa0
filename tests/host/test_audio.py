"""Recordings: what can be read is read exactly, what cannot gets one clear line."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import stapes_spec as spec
from stapes_tools.audio import read_recording
from stapes_tools.errors import UserError

RATE = spec.AUDIO_SAMPLE_RATE_HZ
TONE = (np.sin(np.arange(RATE) * 0.1) * 20000).astype(np.int16)
TONE[:4] = (-32768, 32767, 0, -1)


def write(path: Path, samples=TONE, rate=RATE, **options) -> Path:
    soundfile.write(str(path), samples, rate, **options)
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_lossless_files_are_read_exactly(tmp_path, name):
    samples = read_recording(write(tmp_path / name))
    assert samples.dtype == np.int16
    np.testing.assert_array_equal(samples, TONE)


def test_float_wav_is_scaled(tmp_path):
    path = write(tmp_path / "a.wav", TONE / 32768.0, subtype="FLOAT")
    np.testing.assert_array_equal(read_recording(path), TONE)


def test_opus_is_read(tmp_path):
    path = write(tmp_path / "a.opus", TONE / 40000.0, format="OGG", subtype="OPUS")
    samples = read_recording(path)
    assert len(samples) == RATE
    assert np.corrcoef(samples[1000:], TONE[1000:])[0, 1] > 0.9


def test_wav_of_a_stream_whose_length_was_not_known(tmp_path):
    data = bytearray(write(tmp_path / "a.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    (tmp_path / "b.wav").write_bytes(data)
    np.testing.assert_array_equal(read_recording(tmp_path / "b.wav"), TONE)


def truncated(tmp_path, name, **options):
    data = write(tmp_path / ("whole" + name), TONE / 40000.0, **options).read_bytes()
    (tmp_path / ("cut" + name)).write_bytes(data[: len(data) * 2 // 3])
    return tmp_path / ("cut" + name)


def gigabyte(tmp_path, header=b""):
    path = tmp_path / "big.wav"
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(1 << 30)
    return path


def gigabyte_wav(tmp_path):
    size = (1 << 30) - 44
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return gigabyte(
        tmp_path, b"RIFF" + struct.pack("<I", size + 36) + b"WAVE" + fmt + struct.pack("<4sI", b"data", size)
    )


def text_file(tmp_path):
    (tmp_path / "a.wav").write_text("these are no samples\n" * 100)
    return tmp_path / "a.wav"


def zero_bytes(tmp_path):
    (tmp_path / "a.wav").touch()
    return tmp_path / "a.wav"


def head_only(tmp_path):
    (tmp_path / "b.wav").write_bytes(write(tmp_path / "a.wav").read_bytes()[:30])
    return tmp_path / "b.wav"


def damaged_flac(tmp_path):
    data = bytearray(write(tmp_path / "a.flac").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = b"\x55" * 64
    (tmp_path / "b.flac").write_bytes(data)
    return tmp_path / "b.flac"


def too_long(tmp_path):
    return write(tmp_path / "a.flac", np.zeros(121 * RATE, np.int16))


BAD = {
    "wrong rate": (lambda d: write(d / "a.wav", rate=8000), "not sampled at 16 kHz (but at 8000 Hz)"),
    "stereo": (lambda d: write(d / "a.wav", np.stack([TONE, TONE], 1)), "not mono (it has 2 channels)"),
    "no samples": (lambda d: write(d / "a.wav", TONE[:0]), "holds no samples"),
    "zero bytes": (zero_bytes, "the file is empty"),
    "cut WAV": (lambda d: truncated(d, ".wav"), "cut short (10682 bytes are missing)"),
    "cut FLAC": (lambda d: truncated(d, ".flac"), "damaged"),
    "cut Opus": (lambda d: truncated(d, ".opus", format="OGG", subtype="OPUS"), "cut short"),
    "cut Vorbis": (lambda d: truncated(d, ".ogg", format="OGG", subtype="VORBIS"), "cut short"),
    "cut header": (head_only, "damaged"),
    "damaged FLAC": (damaged_flac, "damaged"),
    "1 GB WAV": (gigabyte_wav, "too long (33554 s)"),
    "1 GB of zeros": (gigabyte, "not a WAV, FLAC or Opus recording"),
    "too long": (too_long, "too long (121 s)"),
    "text": (text_file, "not a WAV, FLAC or Opus recording"),
    "MP3": (lambda d: write(d / "a.mp3"), "it is MP3"),
    "missing": (lambda d: d / "none.wav", "there is no such file"),
    "folder": (lambda d: d, "this is a folder"),
    "inside a file": (lambda d: write(d / "a.wav") / "b.wav", "there is no such file"),
    "unreadable": (lambda d: Path("/proc/self/mem"), "cannot be read"),
    "device": (lambda d: Path("/dev/zero"), "not a regular file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_recordings_get_one_clear_line(tmp_path, case):
    make, wrong = BAD[case]
    path = make(tmp_path)
    with pytest.raises(UserError) as caught:
        read_recording(path)
    line = str(caught.value)
    assert caught.value.exit_code == 2
    assert line.startswith(f"{path}: ")
    assert wrong in line
    assert "; " in line, "it says what to do"
    assert "\n" not in line


def test_a_gigabyte_is_not_loaded(tmp_path):
    """The address space may not grow by a gigabyte: a child with a limit of it reads the header."""
    import resource
    import subprocess
    import sys

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    program = "import sys; from stapes_tools.audio import read_recording; read_recording(sys.argv[1])"
    result = subprocess.run(
        [sys.executable, "-c", program, str(gigabyte_wav(tmp_path))],
        check=False,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        env=dict(os.environ, OPENBLAS_NUM_THREADS="1"),
    )
    assert "too long" in result.stderr
    assert "MemoryError" not in result.stderr


@pytest.mark.parametrize("sample_count", [1, 479, 120 * RATE])
def test_every_length_up_to_the_limit_is_taken(tmp_path, sample_count):
    path = write(tmp_path / "a.wav", np.ones(sample_count, np.int16))
    assert len(read_recording(path)) == sample_count
