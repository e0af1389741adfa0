"""Folders of recordings: labels of commands, transcripts of read speech, and what is wrong with them."""

import json

import numpy as np
import pytest
import soundfile
from stapes_tools.errors import UserError
from stapes_tools.evaluate.folder import durations_s, read_folder

LABELS = {"slots": {"size": "large"}, "text": "a large latte"}


def record(path, seconds=0.1, **options):
    path.parent.mkdir(exist_ok=True)
    soundfile.write(str(path), np.full(int(seconds * 16000), 0.1), 16000, **options)


def label(folder, rows):
    (folder / "refs.json").write_text(rows if isinstance(rows, str) else json.dumps(rows))


def test_commands(tmp_path):
    label(tmp_path, {"b": {**LABELS, "intent": "order"}, "a.wav": LABELS, "c": LABELS})
    record(tmp_path / "a.wav", 0.25)
    record(tmp_path / "b.flac")
    record(tmp_path / "c.opus", format="OGG", subtype="OPUS")
    folder = read_folder(tmp_path)
    assert [utterance.name for utterance in folder.utterances] == ["b", "a.wav", "c"]
    assert [utterance.path.name for utterance in folder.utterances] == ["b.flac", "a.wav", "c.opus"]
    assert folder.has_commands and folder.references == tmp_path / "refs.json" and folder.left_out == 0
    assert folder.utterances[0].intent == "order" and folder.utterances[1].intent is None
    assert folder.utterances[0].slots == {"size": "large"} and folder.utterances[0].text == "a large latte"
    assert list(durations_s(folder.utterances)) == [0.1, 0.25, 0.1]
    assert [utterance.name for utterance in read_folder(tmp_path, limit=1).utterances] == ["b"]


def test_kaldi_text_with_recordings_beside_it(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "text").write_text("u1\tMARK IS GOING\n\nu2 KATE LOVES CHINA\n")
    record(tmp_path / "audio" / "u1.opus", format="OGG", subtype="OPUS")
    record(tmp_path / "audio" / "u2.wav")
    folder = read_folder(tmp_path / "test")
    assert not folder.has_commands
    assert [utterance.text for utterance in folder.utterances] == ["MARK IS GOING", "KATE LOVES CHINA"]


def test_a_table_of_transcripts_without_those_with_digits(tmp_path):
    (tmp_path / "text.tsv").write_text("u1\t0.9\tchapter 1\nu2\t0.8\tplease call stella\n")
    record(tmp_path / "audio" / "u2.flac")
    folder = read_folder(tmp_path)
    assert [utterance.text for utterance in folder.utterances] == ["please call stella"]
    assert folder.left_out == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", r"refs.json: is not JSON .*; write it as"),
        ("{'a': 1}", r"refs.json: is not JSON"),
        ("[" * 100_000, r"refs.json: is not JSON"),
        ("[]", r"refs.json: is not an object"),
        ("{}", r"refs.json: names no recordings"),
        ({"a": "latte"}, r"refs.json: what it says of 'a' is not an object"),
        ({"a": {"slots": {}}}, r"refs.json: 'a' has no text"),
        ({"a": {"text": "latte"}}, r"refs.json: 'a' has no slots"),
        ({"a": {"text": "latte", "slots": {"size": 8}}}, r"refs.json: 'a' has no slots, each with a string"),
        ({"a": {**LABELS, "intent": 1}}, r"refs.json: the intent of 'a' is not a string"),
        ({"b": LABELS}, r"refs.json: names the recording 'b', which is not in the folder; put b.wav"),
        ({"b\0": LABELS}, r"refs.json: names the recording 'b.x00'"),
        ({"b" * 300: LABELS}, r"refs.json: names the recording 'bbb"),
    ],
)
def test_wrong_references(tmp_path, rows, said):
    record(tmp_path / "a.wav")
    label(tmp_path, rows)
    with pytest.raises(UserError, match=said):
        read_folder(tmp_path)


def test_references_in_another_encoding(tmp_path):
    (tmp_path / "refs.json").write_bytes('{"a": "café"}'.encode("latin-1"))
    with pytest.raises(UserError, match=r"refs.json: is not UTF-8 text \(byte 10\); save it as UTF-8"):
        read_folder(tmp_path)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(UserError, match=r"there is no refs.json; write refs.json there"):
        read_folder(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        read_folder(tmp_path / "none")
    record(tmp_path / "a.wav")
    with pytest.raises(UserError, match="this is not a folder"):
        read_folder(tmp_path / "a.wav")
    (tmp_path / "text").write_text("u1 hello\nu2\n")
    with pytest.raises(UserError, match="text: line 2 is not a name and its words"):
        read_folder(tmp_path)
    (tmp_path / "refs.json").mkdir()
    with pytest.raises(UserError, match=r"refs.json: cannot be read \(Is a directory\)"):
        read_folder(tmp_path)
