"""Bad lines of corpora: each is named with its place and what to do; recipes skip them or stop."""

import json
import logging

import numpy as np
import pytest
import soundfile
from stapes_tools.corpora import build, layouts, readers
from stapes_tools.corpora.check import check
from stapes_tools.corpora.executors import InProcess
from stapes_tools.corpora.figures import measure
from stapes_tools.corpora.pronunciations import lexicon_with
from stapes_tools.corpora.readers import CorpusError
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon

TONE = (8000 * np.sin(np.arange(4000))).astype(np.int16)
BAD = {  # line of text.tsv -> what is said of it
    2: ["b.flac: there is no such file; check the path"],
    3: ["c.flac: the recording is not sampled at 16 kHz (but at 8000 Hz)"],
    4: ["d.flac: the recording is not mono (it has 2 channels)"],
    5: ["the transcript is empty; write what is said, or delete the line"],
    6: ["the word 'cofee' has no known pronunciation; did you mean 'coffee'"],
    7: ["g.flac: "],
    8: ["the line has 1 fields instead of 2; write a name, a tab and what is said, or delete the line"],
    9: ["'20' does not tell how it was spoken; write the words that were spoken"],
    10: ["this is not UTF-8 text; save the table as UTF-8"],
    11: ["a is on "],
    12: ["h.wav: the recording is cut short (40 bytes are missing)"],
    13: ["i.opus: the recording is cut short (the last page is missing)"],
}
TABLE = (
    b"a\tturn it on\nb\tturn it on\nc\tturn it on\nd\tturn it on\ne\t\nf\ta cofee\ng\tturn it on\n"
    b"no tab here\nj\tset it to 20\nk\tcaf\xe9\na\tturn it off\nh\tturn it on\ni\tturn it on\nl\tgood\r\n\n"
)


def _cut(path, count):
    path.write_bytes(path.read_bytes()[:-count])


@pytest.fixture
def corpus(tmp_path):
    """A corpus with one line of every kind of fault."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "text.tsv").write_bytes(TABLE)
    for name in "aefgjkl":
        soundfile.write(folder / f"{name}.flac", TONE, 16000)
    soundfile.write(folder / "c.flac", TONE, 8000)
    soundfile.write(folder / "d.flac", np.stack([TONE, TONE], axis=1), 16000)
    soundfile.write(folder / "h.wav", TONE, 16000, subtype="PCM_16")
    soundfile.write(folder / "i.opus", np.tile(TONE, 20), 16000, format="OGG", subtype="OPUS")
    _cut(folder / "g.flac", 2000)
    _cut(folder / "h.wav", 40)
    _cut(folder / "i.opus", 300)
    return folder


def _faults(folder, **words):
    lines = layouts.find_corpus(str(folder), []).lines()
    return [str(fault) for _, faults in check(lines, Lexicon(words), InProcess()) for fault in faults]


def test_every_bad_line_is_one_line_that_says_what_and_what_to_do(corpus):
    table = corpus / "text.tsv"
    found = _faults(corpus)
    assert [fault.split(": ")[0] for fault in found] == [f"{table}:{number}" for number in BAD]
    for fault, (number, (said,)) in zip(found, BAD.items(), strict=True):
        assert said in fault, number
        assert "; " in fault and "\n" not in fault
    assert not any("cofee" in fault for fault in _faults(corpus, cofee="K AO F IY"))


def test_refs_are_checked_with_the_lines_of_their_names(tmp_path):
    soundfile.write(tmp_path / "a.flac", TONE, 16000)
    rows = {"a": {"text": "turn it on", "slots": {}}, "b": {"slots": {}}, "c": {}, "a b": {"text": 3}}
    (tmp_path / "refs.json").write_text(json.dumps(rows, indent=1))
    found = _faults(tmp_path)
    table = tmp_path / "refs.json"
    assert found[0].startswith(f"{table}:6: {tmp_path / 'b.flac'}: there is no such file")
    assert found[1].startswith(f"{table}:9: the entry of c has neither text nor slots; write")
    assert found[2].startswith(f"{table}:10: the entry of a b has neither")
    (tmp_path / "refs.json").write_text('{"a": {\n"text": }')
    assert _faults(tmp_path) == [f"{table}:2: this is not JSON (Expecting value); mend it, or make it again"]
    (tmp_path / "refs.json").write_text("[1]")
    assert "this is no table of recordings" in _faults(tmp_path)[0]


def test_kaldi_tables_miss_speakers(tmp_path):
    split = tmp_path / "train"
    split.mkdir()
    (split / "text").write_text("u1 GOOD\nu2 GOOD\nu3\n")
    (split / "utt2spk").write_text("u1 s1\nu3\n")
    found = _faults(tmp_path)
    assert f"{split / 'utt2spk'}:2: u3 has no speaker; write one after the name" in found
    assert f"{split / 'text'}:2: u2 has no speaker; add a line with its speaker to {split / 'utt2spk'}" in found


def test_recognised_tables_want_numbers(tmp_path):
    (tmp_path / "text.tsv").write_text("a-1\t0.9\tgood\nb-1\thigh\tgood\n")
    (tmp_path / "a-1.flac").touch()
    found = _faults(tmp_path)
    assert any("the file is empty" in fault for fault in found)
    assert any("text.tsv:2: the confidence 'high' is not a number; write" in fault for fault in found)


def test_published_layouts_are_read(tmp_path):
    chapter = tmp_path / "libri" / "19" / "198"
    chapter.mkdir(parents=True)
    (chapter / "19-198.trans.txt").write_text("19-198-0000 NORTHANGER ABBEY\n")
    corpus = layouts.find_corpus("libri", [tmp_path])
    assert corpus.layout == "LibriSpeech"
    expected = ("19-198-0000", "northanger abbey", "19", chapter / "19-198-0000.flac")
    assert list(readers.recordings(corpus.lines())) == [expected]
    split = tmp_path / "ocean" / "train"
    split.mkdir(parents=True)
    (split / "text").write_text("1\tWE CALL IT BEAR\n")
    (split / "utt2spk").write_text("1\t0001\n")
    (split / "wav.scp").write_text("1\tWAVE/SPEAKER0001/1.WAV\n")
    expected = ("1", "we call it bear", "0001", tmp_path / "ocean" / "WAVE" / "SPEAKER0001" / "1.WAV")
    assert list(readers.recordings(layouts.find_corpus("ocean", [tmp_path]).lines())) == [expected]


def test_sounds_and_single_words_are_told_apart_and_measured(tmp_path):
    for name in ("words/alexa/1.flac", "words/computer/1.flac", "noise/tap.flac", "noise/birds/1.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, np.tile(TONE, 9), 16000)
    (tmp_path / "words" / "alexa" / "2.flac").write_text("not audio")
    (tmp_path / "nothing").mkdir()
    found = {corpus.name: corpus for corpus in layouts.find_corpora([tmp_path, tmp_path / "none"])}
    assert {name: corpus.layout for name, corpus in found.items()} == {"noise": "sounds", "words": "single words"}
    figures = measure(found["words"])
    assert (figures.utterances, figures.speakers, figures.faulty) == (2, None, 1)
    assert figures.hours == pytest.approx(2 * 36000 / 16000 / 3600)
    assert measure(found["noise"]).utterances == 2
    assert _faults(tmp_path / "noise") == []
    with pytest.raises(CorpusError, match=r"no layout of a corpus; it needs text\.tsv, refs\.json"):
        layouts.find_corpus("nothing", [tmp_path])
    with pytest.raises(CorpusError, match=r"no such corpus or folder; in .* there are: noise, words"):
        layouts.find_corpus("word", [tmp_path])


def test_scoring_recordings_are_no_training_recordings(tmp_path):
    with pytest.raises(CorpusError, match="barista_dev: this corpus is for scoring only"):
        layouts.trainable("barista_dev", tmp_path)


def test_pronunciations_come_from_recipes_and_grammars(tmp_path):
    (tmp_path / "a.toml").write_text('[data.extra_words]\nalexa = "AH L EH K S AH"\n')
    (tmp_path / "a.yaml").write_text("pronunciations:\n  alexa: AH L EH K S AH\n")
    for name in ("a.toml", "a.yaml"):
        assert "alexa" in lexicon_with(tmp_path / name)
    (tmp_path / "b.toml").write_text("[data")
    with pytest.raises(UserError, match=r"b\.toml: is neither .*; give a recipe"):
        lexicon_with(tmp_path / "b.toml")
    with pytest.raises(UserError, match="cannot be read"):
        lexicon_with(tmp_path / "none.yaml")


# --- in a recipe ----------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))


def _pack(folder, on_bad):
    return build.corpus_pack("some", readers.table_lines(folder), Lexicon(), on_bad)


def test_a_recipe_skips_bad_lines_and_says_each(corpus, cache, caplog):
    with caplog.at_level(logging.WARNING):
        pack = _pack(corpus, "skip")
    # Words without pronunciation and the like stay in the pack; what cannot be heard or read does not.
    assert [utterance.name for utterance in pack.utterances] == ["a", "e", "f", "j", "a", "l"]
    said = [record.getMessage() for record in caplog.records]
    numbers = [number for number in BAD if number != 11]  # repeated names do no harm in training
    assert len(said) == len(numbers) and all(line.endswith("; skipped") for line in said)
    for number, line in zip(numbers, said, strict=True):
        assert f"text.tsv:{number}: " in line


def test_a_recipe_stops_at_the_first_bad_line_in_the_cache_too(corpus, cache):
    for _ in range(2):
        with pytest.raises(CorpusError, match=r"text\.tsv:2: .*b\.flac: there is no such file; check the path"):
            _pack(corpus, "stop")
        _pack(corpus, "skip")


def test_a_corpus_without_faults_has_the_pack_it_always_had(corpus, cache, caplog):
    (corpus / "text.tsv").write_text("a\tturn it on\nl\tgood\n")
    rows = [("a", "turn it on", "a", corpus / "a.flac"), ("l", "good", "l", corpus / "l.flac")]
    pack = _pack(corpus, "stop")
    assert pack.folder.name == f"some-{build.content_hash(rows)}"
    assert pack.folder == build.recorded_pack("some", rows).folder
    (corpus / "text.tsv").write_text("a\tturn it on\nl\tgood\nx\n")
    with caplog.at_level(logging.WARNING):
        assert _pack(corpus, "skip").folder == pack.folder
    assert "some: 1 faults in its lines, which are skipped; stapes corpus check lists them" in caplog.text


def test_a_mended_recording_joins_and_the_pack_gets_another_name(corpus, cache):
    (corpus / "text.tsv").write_text("a\tturn it on\nb\tgood\n")
    without = _pack(corpus, "skip")
    soundfile.write(corpus / "b.flac", TONE, 16000)
    mended = _pack(corpus, "stop")
    assert [len(without), len(mended)] == [1, 2] and without.folder != mended.folder


def test_recipes_know_the_new_keys(tmp_path, request):
    from stapes_tools.train.recipe import read_recipe

    text = (request.config.rootpath / "models" / "general" / "recipe.toml").read_text()
    (tmp_path / "a.toml").write_text(text)
    plain = read_recipe(tmp_path / "a.toml")
    assert (plain.data.on_bad, plain.data.pitch_semitones, plain.data.formants) == ("skip", 0.0, 0.0)
    # Checkpoints lie in a folder named by a hash of this.
    assert "on_bad" not in repr(plain) and "formants" not in repr(plain)
    (tmp_path / "a.toml").write_text(text.replace("[data]", '[data]\non_bad = "stop"\nformants = 0.08'))
    changed = read_recipe(tmp_path / "a.toml")
    assert "on_bad='stop', formants=0.08)" in repr(changed)
    (tmp_path / "a.toml").write_text(text.replace("[data]", '[data]\non_bad = "ignore"'))
    with pytest.raises(UserError, match='on_bad is \'ignore\'; write "skip" or "stop"'):
        read_recipe(tmp_path / "a.toml")
