"""Packs: resumed after a kill, repaired when damaged, and equal wherever they are made."""

import logging
import os
import pickle
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from stapes_tools.corpora import build, executors, store
from stapes_tools.corpora.engines.base import Engine
from stapes_tools.corpora.readers import CorpusError
from stapes_tools.corpora.voices import ENGINES
from stapes_tools.errors import UserError
from stapes_tools.train import data, recipe

COUNT = 12


def _wave(number):
    """int16 [n] of utterance number; every fifth is silent."""
    size = 0 if number % 5 == 4 else 40 + number
    return np.random.default_rng(number).integers(-9000, 9000, size).astype(np.int16)


def _rows(numbers):
    return [(f"u{number}", f"text {number}", "s", _wave(number)) for number in numbers]


def _files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


@pytest.fixture
def whole(tmp_path):
    return store.write_pack(tmp_path / "whole", _rows(range(COUNT))).folder


def test_a_pack_that_was_stopped_goes_on_and_gives_the_same_bytes(tmp_path, whole):
    for stop in range(COUNT + 1):
        folder = tmp_path / f"stopped-{stop}"
        with store.PackWriter(folder) as writer:
            for row in _rows(range(stop)):
                writer.add(*row)
        assert not store.is_whole(folder)
        with store.PackWriter(folder) as writer:
            assert writer.done == stop
            for row in _rows(range(stop, COUNT)):
                writer.add(*row)
            writer.finish()
        assert _files(folder) == _files(whole)


@pytest.mark.parametrize("lost", ["audio", "journal", "flipped", "no journal"])
def test_what_a_power_cut_took_is_made_again(tmp_path, whole, lost):
    folder = tmp_path / "cut"
    with store.PackWriter(folder) as writer:
        for row in _rows(range(8)):
            writer.add(*row)
    audio, journal = folder / "audio.i16", folder / "journal.jsonl"
    data = bytearray(audio.read_bytes())
    if lost == "audio":
        audio.write_bytes(data[:-7])
    elif lost == "journal":
        journal.write_text(journal.read_text()[:-30])
    elif lost == "flipped":
        data[2 * 45] ^= 1
        audio.write_bytes(data)
    else:
        journal.unlink()
    with store.PackWriter(folder) as writer:
        assert writer.done == {"audio": 7, "journal": 7, "flipped": 1, "no journal": 0}[lost]
        for row in _rows(range(writer.done, COUNT)):
            writer.add(*row)
        writer.finish()
    assert _files(folder) == _files(whole)


def test_two_processes_do_not_write_one_pack(tmp_path):
    with store.PackWriter(tmp_path / "pack"), pytest.raises(UserError, match="another process is making this pack"):
        store.PackWriter(tmp_path / "pack").__enter__()


@pytest.fixture
def counting_engine(monkeypatch, tmp_path):
    """A synthesiser that speaks noise; spoken lists the texts, and it can be told when to fail."""
    told = SimpleNamespace(spoken=[], fail_at=None)

    def speak(text, name, rng):
        if len(told.spoken) == told.fail_at:
            raise KeyboardInterrupt
        told.spoken.append(text)
        return np.array([rng.uniform(-1, 1) for _ in range(50)], np.float32), 16000

    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(ENGINES, "hum", Engine("hum", ("low", "high"), speak, "sing it yourself"))
    return told


def test_a_synthetic_pack_speaks_only_what_is_missing(counting_engine, tmp_path, monkeypatch):
    first = build.synthetic_pack(["one", "two", "three"], "hum", 10, 1)
    assert len(counting_engine.spoken) == 10 and len(first) == 10
    assert build.synthetic_pack(["one", "two", "three"], "hum", 10, 1).folder == first.folder
    assert len(counting_engine.spoken) == 10
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "other"))
    counting_engine.fail_at = 14
    with pytest.raises(KeyboardInterrupt):
        build.synthetic_pack(["one", "two", "three"], "hum", 10, 1)
    counting_engine.fail_at = None
    second = build.synthetic_pack(["one", "two", "three"], "hum", 10, 1)
    assert len(counting_engine.spoken) == 20
    assert second.folder.name == first.folder.name and _files(second.folder) == _files(first.folder)


def test_the_names_of_packs_are_those_that_caches_already_hold(counting_engine):
    """The name is a hash of sentences, voices, count and seed: another one would throw away hours of speech."""
    assert build.synthetic_pack(["one", "two"], "hum", 3, 1).folder.name == "hum-33d14d288bcf"


@pytest.mark.parametrize("harm", ["shorter", "flipped", "index"])
def test_a_damaged_pack_is_noticed_and_made_again(counting_engine, caplog, harm):
    folder = build.synthetic_pack(["one", "two"], "hum", 6, 1).folder
    good = _files(folder)
    data = bytearray(good["audio.i16"])
    data[10] ^= 1
    if harm == "index":
        (folder / "index.jsonl").write_text('{"name": "half of')
    else:
        (folder / "audio.i16").write_bytes(data if harm == "flipped" else data[:-2])
    with caplog.at_level(logging.WARNING):
        build.synthetic_pack(["one", "two"], "hum", 6, 1)
    assert "damaged" in caplog.text and "it is made again" in caplog.text
    assert _files(folder) == good


def test_a_pack_from_before_there_were_checksums_is_taken(counting_engine):
    folder = build.synthetic_pack(["one", "two"], "hum", 6, 1).folder
    (folder / "pack.json").unlink()
    assert len(build.synthetic_pack(["one", "two"], "hum", 6, 1)) == 6
    assert len(counting_engine.spoken) == 6


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from stapes_tools.corpora import store
from test_corpora_packs import _rows
with store.PackWriter(Path(sys.argv[1])) as writer:
    for row in _rows(range(7)):
        writer.add(*row)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_a_pack_that_goes_on(tmp_path, whole):
    folder = tmp_path / "killed"
    here = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(folder), here], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with store.PackWriter(folder) as writer:
        assert writer.done == 7
        for row in _rows(range(7, COUNT)):
            writer.add(*row)
        writer.finish()
    assert _files(folder) == _files(whole)


# --- where work runs ------------------------------------------------------------------------------


@pytest.fixture
def recordings(tmp_path):
    rows = []
    for number in range(20):
        path = tmp_path / f"{number}.flac"
        soundfile.write(path, np.random.default_rng(number).integers(-99, 99, 800).astype(np.int16), 16000)
        rows.append((str(number), f"text {number}", "s", path))
    return rows


class FakeRay:
    """Ray as far as executors use it: work and results are pickled, nothing runs before it is asked for."""

    def __init__(self, has_cluster=True):
        self.options, self.under_way, self.most = None, 0, 0
        self._has_cluster = has_cluster

    def init(self, **options):
        self.options = options
        if not self._has_cluster:
            raise ConnectionError("Could not find any running Ray instance.\nPlease specify one.")

    def cluster_resources(self):
        return {"CPU": 2.0, "memory": 1.0}

    def remote(self, function):
        def submit(*arguments):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            return pickle.dumps((function, arguments))

        return SimpleNamespace(remote=submit)

    def get(self, reference):
        self.under_way -= 1
        function, arguments = pickle.loads(reference)
        return pickle.loads(pickle.dumps(function(*arguments)))


def _pack_bytes(monkeypatch, tmp_path, recordings, executor):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / type(executor).__name__))
    return _files(build.recorded_pack("some", recordings, executor).folder)


def test_processes_and_a_cluster_give_what_one_process_gives(monkeypatch, tmp_path, recordings):
    expected = _pack_bytes(monkeypatch, tmp_path, recordings, executors.InProcess())
    assert len(expected["audio.i16"]) == 20 * 1600
    assert _pack_bytes(monkeypatch, tmp_path, recordings, executors.Processes(2)) == expected
    assert _pack_bytes(monkeypatch, tmp_path, recordings, executors.RayCluster("auto", FakeRay())) == expected


# Ray is not among the test tools: it is a quarter of a gigabyte. The test before shows the same with a stand-in.
@pytest.mark.slow
def test_real_ray_gives_what_one_process_gives(monkeypatch, tmp_path, recordings):
    expected = _pack_bytes(monkeypatch, tmp_path, recordings, executors.InProcess())
    assert _pack_bytes(monkeypatch, tmp_path, recordings, executors.RayCluster("local")) == expected
    recordings[12][3].unlink()
    with pytest.raises(CorpusError, match=r"12\.flac: there is no such file"):
        list(executors.RayCluster("local").map(build._decode, recordings))


@pytest.mark.parametrize("make", [executors.InProcess, lambda: executors.RayCluster("auto", FakeRay())])
def test_an_expected_error_comes_through_after_the_results_before_it(recordings, make):
    recordings[12][3].unlink()
    seen = []
    with pytest.raises(CorpusError, match=r"12\.flac: there is no such file"):
        seen.extend(make().map(build._decode, recordings))
        raise AssertionError("no error")
    results = make().map(build._decode, recordings)
    assert [next(results)[0] for _ in range(12)] == [str(number) for number in range(12)]


def test_few_tasks_are_under_way_at_once():
    ray = FakeRay()
    assert list(executors.RayCluster("10.0.0.1:6379", ray).map(abs, range(-1000, 0))) == list(range(1000, 0, -1))
    assert ray.most <= 9 and ray.options["address"] == "10.0.0.1:6379"


def test_no_ray_and_no_cluster_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="--cluster needs Ray, which is not installed; run: pip install ray"):
        executors.choose(1, "auto")
    with pytest.raises(UserError, match=r"auto: there is no Ray cluster .*; start one with: ray start --head"):
        executors.RayCluster("auto", FakeRay(has_cluster=False))
    assert "address" not in _options_of("local") and _options_of("local")["include_dashboard"] is False


def _options_of(address):
    ray = FakeRay()
    executors.RayCluster(address, ray)
    return ray.options


def test_a_few_tasks_need_no_processes():
    assert isinstance(executors.choose(8, tasks=5), executors.InProcess)
    assert isinstance(executors.choose(8, tasks=50), executors.Processes)
    assert isinstance(executors.choose(1), executors.InProcess)


def test_a_worker_that_dies_is_said():
    with pytest.raises(UserError, match="a worker process was killed; run it again"):
        list(executors.Processes(1).map(os._exit, [9]))


def test_a_recipe_names_the_parts_of_a_corpus_that_models_are_scored_on(tmp_path, monkeypatch):
    """And a corpus that no recipe knows has the name of its folder."""
    for split in ("train", "test"):
        (tmp_path / "speechocean762" / split).mkdir(parents=True)
        (tmp_path / "speechocean762" / split / "text").write_text(f"{split}1 HELLO\n")
        (tmp_path / "speechocean762" / split / "utt2spk").write_text(f"{split}1 s\n")
    for number in range(130):
        clip = tmp_path / "wake_phrases" / "alexa" / f"{number:03d}.flac"
        clip.parent.mkdir(parents=True, exist_ok=True)
        clip.touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text.tsv").write_text("a_1\thello\n")
    seen = {}
    monkeypatch.setattr(data.build, "corpus_pack", lambda name, lines, *_: seen.update({name: list(lines)}))
    names = [
        "speechocean762",
        "speechocean762/test",
        "wake_phrases",
        "wake_phrases/all",
        "mine",
        str(tmp_path / "mine"),
    ]
    settings = recipe.Data(str(tmp_path), names, [], [], 1, 1, 15.0, [])
    for name in names:
        data.recorded(settings, name)
    assert {name: len(lines) for name, lines in seen.items()} == {
        "speechocean762": 1, "speechocean762_test": 1, "wake_phrases": 120, "wake_phrases_all": 130, "mine": 1,
    }  # fmt: skip
    assert [seen[name][0].recording[0] for name in ("speechocean762", "speechocean762_test")] == ["train1", "test1"]
