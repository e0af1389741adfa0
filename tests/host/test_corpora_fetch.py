"""Fetching public corpora from a server on the loopback that is good, cuts off, lies, changes or is not there."""

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from stapes_tools.corpora import download as downloading
from stapes_tools.corpora import fetch as fetching
from stapes_tools.corpora import layouts, originals
from stapes_tools.corpora.download import download
from stapes_tools.corpora.fetch import fetch
from stapes_tools.corpora.readers import recordings
from stapes_tools.errors import UserError

DATA = np.random.default_rng(0).bytes(100_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves server.data under any name; answers ranges if the file is still the one asked for."""

    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        if server.mode == "missing":
            self.send_error(404)
            return
        tag = '"' + hashlib.sha256(server.data).hexdigest()[:8] + '"'
        start = 0
        if self.headers.get("Range") and self.headers.get("If-Range") == tag and server.mode != "no ranges":
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(server.data):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(server.data) - start))
        self.end_headers()
        body = server.data[start:]
        self.wfile.write(body[:40_000] if server.mode == "cut" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    made.data, made.mode, made.ranges = DATA, "good", []
    made.url = f"http://127.0.0.1:{made.server_port}"
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "file.bin"


def _names(target):
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_comes_whole_and_checked(server, target):
    assert download(f"{server.url}/file.bin", target, SHA256) == SHA256
    assert target.read_bytes() == DATA and _names(target) == ["file.bin", "file.bin.sha256"]
    assert target.with_name("file.bin.sha256").read_text() == f"{SHA256}  file.bin\n"


def test_a_wrong_checksum_leaves_nothing(server, target):
    with pytest.raises(UserError, match=r"its SHA-256 is .* instead of 0000.*, so it was thrown away; fetch it again"):
        download(f"{server.url}/file.bin", target, "0" * 64)
    assert _names(target) == []


def test_a_download_that_is_cut_off_goes_on_where_it_was(server, target):
    server.mode = "cut"
    for received in (40_000, 80_000):
        what = f"cut off after {received} of 100000 bytes; run it again: it goes on there"
        with pytest.raises(UserError, match=what):
            download(f"{server.url}/file.bin", target, SHA256)
        assert not target.exists()
    download(f"{server.url}/file.bin", target, SHA256)
    assert target.read_bytes() == DATA
    assert server.ranges == [None, "bytes=40000-", "bytes=80000-"]


@pytest.mark.parametrize("then", ["changed", "no ranges"])
def test_it_starts_over_where_it_cannot_go_on(server, target, then):
    server.mode = "cut"
    with pytest.raises(UserError, match="cut off"):
        download(f"{server.url}/file.bin", target, None)
    server.mode = "good" if then == "changed" else then
    server.data = DATA[::-1] if then == "changed" else DATA
    download(f"{server.url}/file.bin", target, None)
    assert target.read_bytes() == server.data


def test_a_download_killed_before_its_last_step_is_finished(server, target):
    server.mode = "cut"
    with pytest.raises(UserError, match="cut off"):
        download(f"{server.url}/file.bin", target, SHA256)
    server.mode = "good"
    target.with_name("file.bin.part").write_bytes(DATA)
    download(f"{server.url}/file.bin", target, SHA256)
    assert target.read_bytes() == DATA and server.ranges[-1] == "bytes=100000-"


def test_what_came_first_is_trusted_and_held_to(server, target):
    assert download(f"{server.url}/file.bin", target, None) == SHA256
    target.unlink()
    server.data = DATA[:-1]
    with pytest.raises(UserError, match=r"if the project has published a new version, delete .*file\.bin\.sha256"):
        download(f"{server.url}/file.bin", target, None)
    server.data = DATA
    assert download(f"{server.url}/file.bin", target, None) == SHA256


def test_no_network_and_no_file_are_one_line(server, target, monkeypatch):
    server.mode = "missing"
    with pytest.raises(UserError, match=r"file\.bin: the server answers 404 Not Found; check --mirror"):
        download(f"{server.url}/file.bin", target, None)
    with pytest.raises(UserError, match=r"cannot be reached \(.*\); check the network, or name another mirror"):
        download("http://127.0.0.1:9/file.bin", target, None)
    with pytest.raises(UserError, match="is no address; it begins with http"):
        download("somewhere/file.bin", target, None)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    server.mode = "good"
    with pytest.raises(UserError, match="1 MB of disk space are missing; make room"):
        download(f"{server.url}/file.bin", target, None)


def test_a_folder_can_be_the_mirror(tmp_path, target):
    (tmp_path / "file.bin").write_bytes(DATA)
    assert download((tmp_path / "file.bin").as_uri(), target, SHA256) == SHA256


# --- whole corpora --------------------------------------------------------------------------------


def _flac(rate=16000, channels=1):
    memory = io.BytesIO()
    tone = (8000 * np.sin(np.arange(rate // 2))).astype(np.int16)
    soundfile.write(memory, np.stack([tone] * channels, axis=1), rate, format="FLAC")
    return memory.getvalue()


def _tar(files):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as packed:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return memory.getvalue()


def _zip(files):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return memory.getvalue()


ARCHIVES = {
    "speechocean762": _tar(
        {
            "speechocean762/train/text": b"1\tWE CALL IT BEAR\n",
            "speechocean762/train/utt2spk": b"1\t0001\n",
            "speechocean762/train/wav.scp": b"1\tWAVE/SPEAKER0001/1.WAV\n",
            "speechocean762/WAVE/SPEAKER0001/1.WAV": _flac(),
        }
    ),
    "train-clean-100": _tar(
        {
            "LibriSpeech/train-clean-100/19/198/19-198.trans.txt": b"19-198-0000 NORTHANGER ABBEY\n",
            "LibriSpeech/train-clean-100/19/198/19-198-0000.flac": _flac(),
        }
    ),
    "esc10": _zip({"ESC-10-master/001 - Dog bark/1-30226-A.ogg": _flac(44100)}),
    "wake-word-benchmark": _zip({"wake-word-benchmark-master/audio/alexa/0.flac": _flac(48000, channels=2)}),
    "speech-to-intent-benchmark": _zip(
        {
            "speech-to-intent-benchmark-master/data/label/label.json": (
                b'{"a.wav": {"intent": "orderDrink", "slots": {"milkAmount": " soy milk"}}}'
            ),
            "speech-to-intent-benchmark-master/data/speech/clean/a.wav": _flac(),
        }
    ),
}
READ = {
    "speechocean762": ("1", "we call it bear", "0001"),
    "train-clean-100": ("19-198-0000", "northanger abbey", "19"),
    "esc10": ("dog_bark-1-30226-A", "", ""),
    "wake-word-benchmark": ("alexa-0", "alexa", "0"),
    "speech-to-intent-benchmark": ("a", "", ""),
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and checksums that are not known."""
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    for name, original in originals.ORIGINALS.items():
        monkeypatch.setitem(originals.ORIGINALS, name, replace(original, sha256=None))


@pytest.mark.parametrize("name", sorted(originals.ORIGINALS))
def test_every_public_corpus_is_fetched_unpacked_and_read(server, cache, name):
    server.data = ARCHIVES[name]
    fetched = fetch(name, server.url)
    assert not fetched.was_there and not fetched.is_known
    assert fetched.sha256 == hashlib.sha256(ARCHIVES[name]).hexdigest()
    rows = list(recordings(layouts.find_corpus(name, [layouts.fetched_root()]).lines()))
    assert [row[:3] for row in rows] == [READ[name]]
    if not name.startswith("speechocean"):
        samples, rate = soundfile.read(rows[0][3])
        assert rate == 16000 and samples.shape == (8000,)
    server.mode = "missing"
    assert fetch(name, server.url).was_there


def test_slots_of_orders_lose_their_blanks(server, cache):
    server.data = ARCHIVES["speech-to-intent-benchmark"]
    folder = fetch("speech-to-intent-benchmark", server.url).folder
    assert '"milkAmount": "soy milk"' in (folder / "refs.json").read_text()


def test_the_published_checksum_of_librispeech_is_held_to(server, tmp_path, monkeypatch):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    server.data = ARCHIVES["train-clean-100"]
    with pytest.raises(UserError, match="instead of d4ddd1d5a6ab3030…"):
        fetch("train-clean-100", server.url)
    assert not layouts.fetched_root().exists()


def test_an_archive_that_is_there_is_unpacked_without_a_network(server, cache):
    server.data = ARCHIVES["esc10"]
    folder = fetch("esc10", server.url).folder
    (folder / "dog_bark-1-30226-A.flac").unlink()
    folder.rmdir()
    assert fetch("esc10", None).folder == folder and any(folder.iterdir())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no archive", "the archive is damaged, or another one"),
        (ARCHIVES["train-clean-100"][:-300], "the archive is damaged, or another one"),
        (_tar({"else/readme": b""}), "the archive has no train-clean-100; is it the right file"),
        (_tar({"../outside": b"x", "train-clean-100/a": b""}), "the archive is damaged, or another one"),
    ],
    # Names of their own: an archive's bytes hold the second in which it was made.
    ids=["no archive", "cut short", "another one", "one that leads outside"],
)
def test_damaged_and_foreign_archives_leave_no_corpus(server, cache, data, said):
    server.data = data
    with pytest.raises(UserError, match=said) as error:
        fetch("train-clean-100", server.url)
    assert "train-clean-100.tar.gz: " in str(error.value) and "\n" not in str(error.value)
    assert not any(layouts.fetched_root().iterdir())


def test_unknown_names_and_no_mirror_are_said(cache):
    with pytest.raises(UserError, match="timit: there is no such public corpus; known are speechocean762"):
        fetch("timit", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"holds ESC-10-master\.zip with --mirror or STAPES_MIRROR"):
        fetching.fetch("esc10", None)
