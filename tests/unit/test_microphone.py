"""The virtual microphone: WAV files as a board reads them."""

import struct
from array import array

import pytest
import stapes

RATE = 16000


def wav(samples=(1, -2, 3), rate=RATE, channels=1, bits=16, code=1, extra=b"", claimed=None):
    data = struct.pack(f"<{len(samples)}h", *samples)
    fmt = struct.pack("<HHIIHH", code, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    body = b"fmt " + struct.pack("<I", len(fmt)) + fmt + extra
    body += b"data" + struct.pack("<I", len(data) if claimed is None else claimed) + data
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


@pytest.fixture
def microphone(tmp_path):
    def build(contents):
        path = tmp_path / "a.wav"
        path.write_bytes(contents)
        return stapes.WavMicrophone(str(path))

    return build


def test_samples_come_in_order_and_end(microphone):
    heard = microphone(wav(range(-5, 6)))
    buffer = array("h", [0] * 4)
    found = []
    while count := heard.readinto(buffer):
        found += buffer[:count]
    assert found == list(range(-5, 6))
    assert heard.readinto(buffer) == 0
    heard.close()


def test_chunks_before_and_after_the_samples_are_skipped(microphone):
    heard = microphone(wav(extra=b"LIST" + struct.pack("<I", 3) + b"abc\0") + b"junk at the end")
    buffer = array("h", [0] * 9)
    assert heard.readinto(buffer) == 3
    assert list(buffer[:3]) == [1, -2, 3]


@pytest.mark.parametrize(
    ("contents", "name", "detail"),
    [
        (b"", "audio_format", ""),
        (b"RIFF\0\0\0\0WAVE", "audio_format", "no samples"),
        (b"OggS" + bytes(100), "audio_format", ""),
        (wav(rate=8000), "audio_rate", "8000 Hz"),
        (wav(channels=2), "audio_channels", "2 channels"),
        (wav(bits=24), "audio_format", "16-bit"),
        (wav(code=3), "audio_format", "16-bit"),
        (wav(samples=()), "audio_empty", ""),
        (wav()[:30], "audio_format", "header is damaged"),
        (wav(extra=b"LIST" + struct.pack("<I", 1 << 30)), "audio_format", "header is damaged"),
    ],
)
def test_what_is_no_recording_is_refused(microphone, contents, name, detail):
    with pytest.raises(stapes.StapesError) as caught:
        microphone(contents)
    assert caught.value.name == name
    assert detail in str(caught.value)
    assert str(caught.value).endswith(caught.value.advice)


def test_a_missing_file_is_named():
    with pytest.raises(stapes.StapesError, match=r"nowhere\.wav: the file cannot be read"):
        stapes.WavMicrophone("nowhere.wav")


def test_the_board_microphone_is_the_file_that_the_environment_names(microphone, tmp_path, monkeypatch):
    microphone(wav())
    monkeypatch.setenv("STAPES_MICROPHONE", str(tmp_path / "a.wav"))
    assert stapes.Microphone.from_board().readinto(array("h", [0] * 9)) == 3


def test_without_a_microphone_the_error_says_what_to_do(monkeypatch):
    monkeypatch.delenv("STAPES_MICROPHONE", raising=False)
    with pytest.raises(stapes.StapesError, match=r"STAPES_MICROPHONE.*docs/microphones\.md"):
        stapes.Microphone.from_board()
