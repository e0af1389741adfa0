"""`stapes corpus …`: what it prints, what it leaves on disk, its exit codes."""

import json
import re

import numpy as np
import pytest
import soundfile
from stapes_tools.cli.main import main
from stapes_tools.corpora.engines.base import Engine
from stapes_tools.corpora.voices import ENGINES

GRAMMAR = """
context:
  expressions:
    switch:
      - "turn $state:state the $room:room lights"
  slots:
    state: ["on", "off"]
    room: [kitchen, bedroom]
"""


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STAPES_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("STAPES_MIRROR", raising=False)


@pytest.fixture
def hum(monkeypatch):
    """The only installed synthesiser; it hums as long as a text is, and is silent about `hush`."""

    def speak(text, name, rng):
        size = 0 if text == "hush" else 1000 * len(text)
        return np.sin(np.arange(size) * rng.uniform(0.05, 0.1)).astype(np.float32), 16000

    engines = {
        "hum": Engine("hum", ("low", "high"), speak, "sing it yourself"),
        "gone": Engine("gone", ("far",), speak, "apt-get install gone", needs=("no-such-program-here",)),
    }
    for name in list(ENGINES):
        monkeypatch.delitem(ENGINES, name)
    for name, engine in engines.items():
        monkeypatch.setitem(ENGINES, name, engine)


def _run(capfd, *words):
    """(exit code, standard output, standard error)."""
    code = main(["corpus", *map(str, words)])
    out, err = capfd.readouterr()
    return code, out, err


def test_help_names_every_verb(capfd):
    code, out, _ = _run(capfd, "--help")
    assert code == 0
    for verb in ("augment", "check", "fetch", "list", "pack", "speak"):
        assert re.search(rf"^  {verb}  +[A-Z]", out, re.MULTILINE)
        code, text, _ = _run(capfd, verb, "--help")
        assert code == 0 and text.startswith("Usage: stapes corpus ")


def test_a_grammar_is_spoken_labelled_checked_and_found_again(capfd, tmp_path, hum):
    (tmp_path / "lights.yaml").write_text(GRAMMAR)
    code, out, err = _run(capfd, "speak", "lights.yaml", "data/spoken", "--count", 6, "--seed", 3)
    assert (code, out, err) == (0, "data/spoken: 6 spoken, 0 there before\n", "")
    folder = tmp_path / "data" / "spoken"
    rows = json.loads((folder / "refs.json").read_text())
    assert len(rows) == 6
    for name, row in rows.items():
        assert set(row["slots"]) == {"state", "room"} and row["intent"] == "switch"
        assert row["text"] == f"turn {row['slots']['state']} the {row['slots']['room']} lights"
        assert soundfile.info(folder / f"{name}.flac").samplerate == 16000
    table = dict(line.split("\t") for line in (folder / "text.tsv").read_text().splitlines())
    assert table == {name: row["text"] for name, row in rows.items()}
    assert _run(capfd, "check", "spoken") == (0, f"{folder}: 6 lines, nothing wrong\n", "")
    code, out, _ = _run(capfd, "list")
    assert code == 0
    assert re.search(r"^gone +no +far +install it: apt-get install gone$", out, re.MULTILINE)
    assert re.search(r"^spoken +sentences with slots +6 +2 +0\.0", out, re.MULTILINE)
    code, out, _ = _run(capfd, "list", "--json")
    listed = json.loads(out)
    assert listed["corpora"][0]["utterances"] == 6 and listed["engines"][0]["name"] == "hum"


def _bytes(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_speaking_goes_on_where_it_was_and_repairs(capfd, tmp_path, hum):
    (tmp_path / "a.txt").write_text("turn it on\nturn it off\n\nhush\nset it to blue\n")
    assert _run(capfd, "speak", "a.txt", "whole", "--count", 8)[0] == 0
    whole = _bytes(tmp_path / "whole")
    assert _run(capfd, "speak", "a.txt", "part", "--count", 8)[0] == 0
    flacs = sorted((tmp_path / "part").glob("*.flac"))
    flacs[0].unlink()
    flacs[1].write_bytes(flacs[1].read_bytes()[:-20])
    (tmp_path / "part" / "refs.json").unlink()
    _, out, _ = _run(capfd, "speak", "a.txt", "part", "--count", 8)
    assert out == f"part: 2 spoken, {len(flacs) - 2} there before, {8 - len(flacs)} came out silent\n"
    assert _bytes(tmp_path / "part") == whole
    assert len(flacs) < 8
    _run(capfd, "speak", "a.txt", "part", "--count", 8, "--plain")
    assert len(_bytes(tmp_path / "part")) == 2 * len(flacs) + 2


def test_bad_sentences_are_named_and_skipped_or_stopped_on(capfd, tmp_path, hum):
    (tmp_path / "a.txt").write_text("turn it on\nturn on the xqzw\nset it to 20\n")
    code, out, err = _run(capfd, "speak", "a.txt", "out")
    assert code == 0 and out == "out: 1 spoken, 0 there before\n"
    assert err.splitlines()[0].startswith("a.txt:2: the word 'xqzw' has no known pronunciation; give its phones")
    assert (
        err.splitlines()[1]
        == "a.txt:3: '20' does not tell how it was spoken; write the words that were spoken; skipped"
    )
    code, out, err = _run(capfd, "speak", "a.txt", "out", "--stop")
    assert code == 2 and err.startswith("stapes: a.txt:2: the word 'xqzw'")
    (tmp_path / "more.yaml").write_text("pronunciations: {xqzw: K W IH Z}\n")
    assert "out: 2 spoken, 0 there" in _run(capfd, "speak", "a.txt", "out", "--pronunciations", "more.yaml")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none.txt", "out"), "none.txt: no such file; check the path"),
        (("empty.txt", "out"), "empty.txt: there is no sentence in it; write one a line"),
        (("a.txt", "out", "--engine", "gone"), "the synthesiser gone is not installed; run: apt-get install gone"),
        (("a.txt", "out", "--voice", "hum/lo"), "there is no voice 'hum/lo'; hum has hum/low"),
        (("a.txt", "out", "--voice", "sing/lo"), "there is no synthesiser 'sing'; choose one of gone, hum"),
        (("a.txt", "a.txt/out"), "a.txt/out: cannot be made"),
    ],
)
def test_mistakes_in_speaking_are_one_line(capfd, tmp_path, hum, monkeypatch, words, said):
    from stapes_tools.cli import corpus

    engines = next(option for option in corpus.speak.params if option.name == "engines")
    monkeypatch.setattr(engines.type, "choices", ("hum", "gone"))
    (tmp_path / "a.txt").write_text("turn it on\n")
    (tmp_path / "empty.txt").write_text("\n")
    code, out, err = _run(capfd, "speak", *words)
    assert (code, out) == (2, "") and err.startswith(f"stapes: {said}") and err.count("\n") == 1


def test_checking_reports_every_bad_line_or_stops_at_the_first(capfd, tmp_path):
    folder = tmp_path / "data" / "some"
    folder.mkdir(parents=True)
    (folder / "text.tsv").write_text("a\tturn it on\nb\tturn it on\nc\n")
    soundfile.write(folder / "a.flac", np.ones(1000, np.int16), 16000)
    table = folder / "text.tsv"
    code, out, err = _run(capfd, "check", "some")
    assert code == 2
    assert [line.partition(": ")[0] for line in out.splitlines()] == [f"{table}:2", f"{table}:3"]
    assert err == f"stapes: {folder}: 2 of 3 lines are bad; mend or delete them; training skips them\n"
    code, out, err = _run(capfd, "check", folder, "--stop")
    assert code == 2 and len(out.splitlines()) == 1 and "stopped at the first bad line" in err
    code, out, err = _run(capfd, "check", "other")
    assert code == 2 and err.startswith("stapes: other: there is no such corpus or folder; in ")
    (folder / "text.tsv").write_text("")
    assert "there is no line in it" in _run(capfd, "check", "some")[2]


@pytest.fixture
def spoken(capfd, tmp_path, hum):
    (tmp_path / "lights.yaml").write_text(GRAMMAR)
    assert _run(capfd, "speak", "lights.yaml", "spoken", "--count", 2)[0] == 0
    rng = np.random.default_rng(1)
    soundfile.write(tmp_path / "noise.flac", rng.integers(-3000, 3000, 20000).astype(np.int16), 16000)
    soundfile.write(tmp_path / "room.flac", np.array([0, 20000, 0, 9000, 3000], np.int16), 16000)
    return tmp_path / "spoken"


def test_changed_copies_keep_words_and_slots(capfd, spoken, tmp_path):
    code, out, err = _run(capfd, "augment", spoken, "noisy", "--noise", "noise.flac", "--snr", "6,12")
    assert (code, out, err) == (0, "noisy: copies of 2 recordings\n", "")
    rows, before = (json.loads((folder / "refs.json").read_text()) for folder in (tmp_path / "noisy", spoken))
    assert sorted(rows) == sorted(f"{name}_snr{snr}" for name in before for snr in (6, 12))
    for name, row in rows.items():
        assert row == before[name.rpartition("_snr")[0]]
    levels = [np.std(soundfile.read(tmp_path / "noisy" / f"{name}.flac")[0]) for name in sorted(rows)[:2]]
    assert levels[1] > levels[0]  # 12 dB is listed before 6 dB, and holds less noise
    assert _run(capfd, "check", "noisy")[0] == 0


def test_every_change_can_be_asked_for_and_repeats(capfd, spoken, tmp_path):
    name = next(spoken.glob("*.flac"))
    before = soundfile.read(name, dtype="int16")[0]
    changes = {
        "--speed": "1.25", "--pitch": "-2", "--formants": "1.1", "--band": "300-3400", "--level": "-40",
        "--clip": "12", "--room": "room.flac", "--noise": "noise.flac",
    }  # fmt: skip
    for option, value in changes.items():
        for folder in ("one", "two"):
            assert _run(capfd, "augment", name, folder, option, value)[0] == 0
        one, two = (soundfile.read(tmp_path / folder / name.name, dtype="int16")[0] for folder in ("one", "two"))
        np.testing.assert_array_equal(one, two)
        assert one.size != before.size or np.any(one != before), option
    assert not (tmp_path / "one" / "refs.json").exists()
    assert _run(capfd, "augment", name, "none")[0] == 0
    np.testing.assert_array_equal(soundfile.read(tmp_path / "none" / name.name, dtype="int16")[0], before)


def test_random_copies_are_those_of_training(capfd, spoken, tmp_path):
    words = ("--random", 3, "--noise", "noise.flac", "--room", "room.flac", "--formant-spread", 0.08)
    assert _run(capfd, "augment", "spoken", "copies", *words)[0] == 0
    rows = json.loads((tmp_path / "copies" / "refs.json").read_text())
    assert len(rows) == 6 and all(name[-2:] in ("_1", "_2", "_3") for name in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none.wav", "out"), "none.wav: there is no such file; check the path"),
        (("nowhere", "out"), "nowhere: there is no such corpus or folder"),
        (("spoken", "out", "--snr", "6"), "--snr needs a noise; name one with --noise"),
        (("spoken", "out", "--noise", "noise.flac", "--snr", "loud"), "Invalid value for '--snr': write decibels"),
        (("spoken", "out", "--snr", "99"), "Invalid value for '--snr': it lies between -40 and 80 dB"),
        (("spoken", "out", "--noise", "none.flac"), "none.flac: there is no such file"),
        (("spoken", "out", "--noise", "slow.flac"), "slow.flac: the recording is not sampled at 16 kHz"),
        (("spoken", "out", "--room", "nothing"), "nothing: there is no recording in it"),
        (("spoken", "out", "--band", "3400"), "Invalid value for '--band': write it as LOW-HIGH in Hz"),
        (("spoken", "out", "--band", "300-9000"), "Invalid value for '--band': LOW is above 0"),
        (("spoken", "out", "--random", "2", "--pitch", "3"), "--random draws the changes by itself"),
        (("spoken", "out", "--formant-spread", "0.1"), "spreads belong to --random"),
    ],
)
def test_mistakes_in_changing_are_one_line(capfd, spoken, tmp_path, words, said):
    soundfile.write(tmp_path / "slow.flac", np.ones(100, np.int16), 8000)
    (tmp_path / "nothing").mkdir()
    code, out, err = _run(capfd, "augment", *words)
    assert (code, out) == (2, "") and err.startswith(f"stapes: {said}") and err.count("\n") == 1


def test_bad_recordings_are_skipped_with_a_line_each(capfd, spoken):
    next(spoken.glob("*.flac")).write_bytes(b"not audio")
    code, out, err = _run(capfd, "augment", "spoken", "out", "--level", "-30")
    assert code == 0 and out == "out: copies of 1 recordings\n" and err.endswith("; skipped\n")
    assert _run(capfd, "augment", "spoken", "out", "--level", "-30", "--stop")[0] == 2


def test_fetching_without_a_mirror_or_a_network_is_one_line(capfd, monkeypatch):
    code, out, _ = _run(capfd, "fetch")
    assert code == 0 and "train-clean-100.tar.gz, published by openslr.org/12" in out
    code, out, err = _run(capfd, "fetch", "esc10")
    assert (code, out) == (2, "") and err.startswith("stapes: esc10: no mirror is named")
    monkeypatch.setenv("STAPES_MIRROR", "http://127.0.0.1:9/")
    code, out, err = _run(capfd, "fetch", "esc10")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith("stapes: http://127.0.0.1:9/ESC-10-master.zip: cannot be reached (")


RECIPE = """
seed = 1
[data]
root = "data"
recorded = ["some"]
noises = []
rooms = []
copies = 1
processes = 1
longest_s = 15.0
[[data.synthetic]]
name = "commands"
seed = 1
grammars = { "lights.yaml" = 4 }
engines = { hum = 5 }
[model]
channels = 16
blocks = 1
width = 5
joint = 8
[training]
minutes = 1
learning_rate = 1e-3
ctc_share = 0.1
ctc_weight = 0.1
"""


def test_packs_of_a_recipe_hold_a_corpus_of_ones_own(capfd, tmp_path, hum):
    (tmp_path / "lights.yaml").write_text(GRAMMAR)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    folder = tmp_path / "data" / "some"
    folder.mkdir(parents=True)
    (folder / "text.tsv").write_text("a\tturn it on\nb\tturn it on\n")
    soundfile.write(folder / "a.flac", np.ones(1600, np.int16), 16000)
    code, out, err = _run(capfd, "pack", "recipe.toml", "--processes", 1)
    assert code == 0, err
    made, recorded = out.splitlines()
    assert re.fullmatch(rf"{tmp_path}/cache/audio/hum-\w{{12}}: 5 utterances, 0\.00 h", made)
    assert re.fullmatch(rf"{tmp_path}/cache/audio/some-\w{{12}}: 1 utterances, 0\.00 h", recorded)
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("[data]", '[data]\non_bad = "stop"'))
    code, out, err = _run(capfd, "pack", "recipe.toml")
    assert code == 2 and err.startswith("stapes: data/some/text.tsv:2: data/some/b.flac: there is no such file")
    (tmp_path / "recipe.toml").write_text(RECIPE.replace('"some"', '"barista_dev"'))
    assert "barista_dev: this corpus is for scoring only" in _run(capfd, "pack", "recipe.toml")[2]


def test_a_missing_package_is_named_with_its_install_command(capfd, monkeypatch, spoken):
    import sys

    for name in [name for name in sys.modules if name.startswith(("stapes_tools.corpora.", "scipy"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    code, _, err = _run(capfd, "augment", "spoken", "out", "--level", "-30")
    assert code == 2
    assert err == "stapes: this needs the Python package scipy.signal; run: make train-tools\n"
