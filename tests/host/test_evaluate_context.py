"""`stapes eval` in a context: which phrases are likely for which recording, and what cannot be."""

import json
import shutil
from pathlib import Path

import pytest
from stapes_tools.cli.main import main
from stapes_tools.errors import UserError
from stapes_tools.evaluate.folder import Utterance
from stapes_tools.evaluate.likely import Likely

REPO = Path(__file__).resolve().parents[2]
COFFEE = REPO / "models" / "grammars" / "coffee.yaml"
SAID = {
    "coffee_espresso": ({"drink": "espresso"}, "please make me a double espresso with a dash of cream"),
    "coffee_never_mind": ({}, "no never mind"),
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "orders"
    folder.mkdir()
    for name in SAID:
        shutil.copy(REPO / "models" / "samples" / f"{name}.flac", folder)
    rows = {name: {"slots": slots, "text": text} for name, (slots, text) in SAID.items()}
    (folder / "refs.json").write_text(json.dumps(rows))
    return folder


def evaluate(capfd, folder, *more):
    code = main([str(word) for word in ["eval", folder, "--grammar", COFFEE, *more]])
    return code, *capfd.readouterr()


def refused(capfd, folder, *more, says):
    code, out, err = evaluate(capfd, folder, *more)
    assert (code, out) == (2, "") and err.count("\n") == 1 and err.startswith("stapes: "), err
    assert all(needle in err for needle in says), err


def utterance(name, **slots):
    return Utterance(name, None, "", slots or None)


FOLDER = [utterance("a", lamp="desk lamp", state="on"), utterance("b", state="off"), utterance("c", room="hall")]


def test_each_recording_has_its_own_labels_among_others():
    likely = Likely(distractors=2).contexts(FOLDER)
    assert [context[: len(own.slots)] for context, own in zip(likely, FOLDER, strict=True)] == [
        ("desk lamp", "on"),
        ("off",),
        ("hall",),
    ]
    assert [len(context) for context in likely] == [4, 3, 3]
    for context in likely:
        assert len(set(context)) == len(context) and set(context) <= {"desk lamp", "on", "off", "hall"}
    assert likely == Likely(distractors=2).contexts(FOLDER), "chosen by the names"
    assert Likely(distractors=0).contexts(FOLDER)[0] == ("desk lamp", "on")
    assert Likely(("now",)).contexts(FOLDER) == [("now",)] * 3
    assert not Likely() and Likely(distractors=0)
    with pytest.raises(UserError, match="no recording of the folder has labelled values"):
        Likely(distractors=1).contexts([utterance("d")])


def test_a_context_reaches_the_search(capfd, folder, tmp_path):
    """What is likely enough is heard though nobody said it."""
    path = tmp_path / "likely.txt"
    path.write_text("# phrases\n\nme an\n")
    rows = []
    for more in ((), ("--context", path, "--boost", "16"), ("--context-labels", "3", "--boost", "0.5")):
        code, out, err = evaluate(capfd, folder, "--json", "--processes", "1", *more)
        assert (code, err) == (0, "")
        rows += json.loads(out)["rows"]
    plain, pushed, own = (row["wer"]["value"] for row in rows)
    assert pushed > plain == own, (plain, pushed, own)
    assert rows[1]["wer_free"] == rows[0]["wer_free"], "words without a grammar know of no context"


def test_bad_contexts(capfd, folder, tmp_path):
    path = tmp_path / "likely.txt"
    refused(capfd, folder, "--context", path, says=["likely.txt", "cannot be read"])
    path.write_text("\n# nothing\n")
    refused(capfd, folder, "--context", path, says=["likely.txt", "holds no phrases"])
    path.write_bytes(b"\xff\xfe")
    refused(capfd, folder, "--context", path, says=["not UTF-8"])
    path.write_text("a large zebra\n")
    refused(capfd, folder, "--context", path, says=["zebra", "not one of the grammar's"])
    refused(capfd, folder, "--boost", "2", says=["no --context"])
    refused(capfd, folder, "--context-labels", "-1", says=["--context-labels"])
    refused(capfd, folder, "--endpoints", "--context", path, says=["--endpoints does not go with --context"])
