"""Grammar files: what they mean, and one clear line for what is wrong with them."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from stapes_tools.cli.grammar import grammar as grammar_command
from stapes_tools.errors import UserError
from stapes_tools.grammar import describe, parse_grammar, read_grammar
from stapes_tools.grammar.builtin import builtin_slots
from stapes_tools.grammar.lexicon import Lexicon

ROOT = Path(__file__).parents[2]
OURS = sorted((ROOT / "models/grammars").glob("*.yaml"))
BARISTA = ROOT.parent / "shared/data/barista_dev"

GRAMMAR = """\
context:
  expressions:
    order:
      - "[make, Brew] (me) a ($size:size, tiny) $drink:drink (@thanks)"
      - "I'd like $pv.SingleDigitInteger:count $drink:drink"
    stop: "never mind"
  macros:
    thanks: ["please", "[thank you, thanks] (a lot)"]
  slots:
    size: ["small", "extra large"]
    drink:
      - "latte"
      - "(iced) coffee"
"""


def expressions(*lines, more=""):
    return "context:\n  expressions:\n    go:\n" + "".join(f"      - {line}\n" for line in lines) + more


@pytest.mark.parametrize(
    ("sentence", "meaning"),
    [
        ("make a latte", ("order", {"drink": "latte"})),
        ("brew me a extra large iced coffee", ("order", {"size": "extra large", "drink": "iced coffee"})),
        ("MAKE ME A TINY COFFEE THANKS A LOT", ("order", {"drink": "coffee"})),
        ("i\u2019d like two latte", ("order", {"count": "two", "drink": "latte"})),
        ("never mind", ("stop", {})),
        ("make a", None),
        ("make a latte please please", None),
        ("make a large latte", None),
        ("", None),
    ],
)
def test_accepts(sentence, meaning):
    assert parse_grammar(GRAMMAR).accepts(sentence) == meaning


def test_what_a_grammar_holds():
    grammar = parse_grammar(GRAMMAR)
    assert grammar.intents == ["order", "stop"]
    assert grammar.slot_names == ["size", "drink", "count"]
    assert grammar.slots["drink"] == [("latte",), ("coffee",), ("iced", "coffee")]
    assert {"i'd", "brew", "seven", "thank"} <= set(grammar.words())
    assert grammar.warnings == ()


def test_sampled_sentences_are_accepted_with_their_meaning():
    grammar = parse_grammar(GRAMMAR)
    samples = list(grammar.sentences(300, seed=4))
    assert samples == list(grammar.sentences(300, seed=4))
    assert samples != list(grammar.sentences(300, seed=5))
    for text, intent, slots in samples:
        assert grammar.accepts(text) == (intent, slots)
    assert {intent for _, intent, _ in samples} == {"order", "stop"}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_own_grammars_say_what_they_mean(path):
    grammar = read_grammar(path)
    assert grammar.warnings == ()
    seen = set()
    for text, intent, _ in grammar.sentences(400, seed=1):
        assert grammar.accepts(text)[0] == intent, text
        seen.add(intent)
    assert seen == set(grammar.intents)


@pytest.mark.parametrize(
    ("name", "sentence", "intent", "slots"),
    [
        (
            "coffee",
            "could you make me a large latte with oat milk",
            "orderDrink",
            "size=large drink=latte milk=oat milk",
        ),
        ("coffee", "i'd like a decaf double espresso", "orderDrink", "strength=decaf shots=double drink=espresso"),
        ("coffee", "how much water is left", "askStatus", "supply=water"),
        ("lights", "turn off the kitchen lights", "switch", "state=off room=kitchen"),
        ("lights", "please dim the bedroom lamp to forty percent", "dim", "room=bedroom level=forty percent"),
        ("lights", "make the lights warm white", "colour", "colour=warm white"),
    ],
)
def test_our_own_grammars_cover_what_one_says(name, sentence, intent, slots):
    expected = dict(pair.split("=") for pair in re.split(r" (?=\w+=)", slots))
    assert read_grammar(ROOT / f"models/grammars/{name}.yaml").accepts(sentence) == (intent, expected)


@pytest.mark.skipif(not BARISTA.is_dir(), reason="the coffee benchmark is not on this machine")
def test_benchmark_references_are_accepted_with_their_slots():
    grammar = read_grammar(BARISTA / "coffee_maker.yaml")
    references = json.loads((BARISTA / "refs.json").read_text())
    assert len(references) == 119
    refused = []
    for reference in references.values():
        found = grammar.accepts(reference["text"])
        if found is None:
            refused.append(reference["text"])
        else:
            assert found == ("orderDrink", reference["slots"])
    # Two speakers left out the article that the benchmark's own grammar demands; with it they pass.
    assert len(refused) == 2
    for text in refused:
        assert grammar.accepts(text.replace("brew", "brew a", 1)) is not None


def test_builtin_numbers():
    slots = builtin_slots()
    assert len(slots["pv.SingleDigitInteger"]) == 10
    assert len(slots["pv.TwoDigitInteger"]) == len(set(slots["pv.TwoDigitInteger"])) == 100
    assert ("forty", "two") in slots["pv.TwoDigitInteger"]
    assert ("one", "hundred", "percent") in slots["pv.Percent"]
    assert len(slots["pv.TwoDigitOrdinal"]) == len(set(slots["pv.TwoDigitOrdinal"])) == 99
    assert {("twelfth",), ("twentieth",), ("ninety", "ninth")} <= set(slots["pv.TwoDigitOrdinal"])
    lexicon = Lexicon()
    assert all(word in lexicon for phrases in slots.values() for phrase in phrases for word in phrase)


SLOTS = "  slots:\n    size: [small, large]\n"

BAD = {
    "unclosed bracket": (expressions('"make [a, an coffee"'), "4:15", "'[' is never closed; add ']'"),
    "wrong bracket": (expressions('"make [a, an) coffee"'), "4:21", "')' does not close '['"),
    "stray bracket": (expressions('"make a] coffee"'), "4:16", "']' closes nothing"),
    "stray comma": (expressions('"make, brew"'), "4:14", "a comma outside brackets"),
    "empty alternative": (expressions('"make [a, ] coffee"'), "4:19", "an alternative is empty"),
    "empty brackets": (expressions('"make () coffee"'), "4:16", "an alternative is empty"),
    "empty expression": (expressions('" "'), "4:10", "the expression is empty"),
    "digit": (expressions('"wake me in 5 minutes"'), "4:21", "write numbers as words"),
    "punctuation": (expressions("make coffee."), "4:20", "leave punctuation out"),
    "strange character": (expressions("coffee & tea"), "4:16", "'&' cannot stand in an expression"),
    "slot without a type": (expressions('"a $ coffee"'), "4:12", "write a name after '$'"),
    "slot without a name": (expressions('"a $size coffee"', more=SLOTS), "4:12", "write $size:NAME"),
    "unknown slot": (expressions('"a $sizze:size coffee"', more=SLOTS), "4:12", "did you mean 'size'"),
    "unknown builtin": (expressions('"take $pv.Alphabetic:x"'), "4:15", "built-in slots are pv.SingleDigitInteger"),
    "unknown macro": (expressions('"make @thing"'), "4:15", "there is no macro @thing; define it under `macros:`"),
    "slot twice": (expressions('"$size:a or $size:a"', more=SLOTS), "4:21", "$size:a2"),
    "all optional": (expressions('"(make) (coffee)"'), "4:9", "may be empty"),
    "empty slot": (expressions("go", more="  slots:\n    size: []\n"), "6:11", "the slot 'size' is empty"),
    "null slot": (expressions("go", more="  slots:\n    size:\n"), "6:10", "the slot 'size' is empty"),
    "slot in a slot": (expressions("go", more="  slots:\n    x: [$y:y]\n"), "6:9", "stands inside a slot"),
    "slot may be empty": (expressions("go", more='  slots:\n    x: ["(a)"]\n'), "6:9", "phrase may be empty"),
    "too many phrases": (
        expressions("go", more='  slots:\n    x: ["' + "[a, an, the] " * 9 + '"]\n'),
        "6:9",
        "more than 5000",
    ),
    "builtin redefined": (expressions("go", more="  slots:\n    pv.Percent: [a]\n"), "6:17", "built-in"),
    "recursion": (
        expressions("go", more='  macros:\n    a: ["x @b"]\n    b: "@a"\n'),
        "7:9",
        "a macro contains itself: @a -> @b -> @a",
    ),
    "self recursion": (expressions("go", more='  macros:\n    a: ["so @a"]\n'), "6:13", "@a -> @a"),
    "nested too deep": (expressions('"' + "[" * 30 + "a" + "]" * 30 + '"'), "4:30", "nest more than 20 deep"),
    "too many parts": (expressions('"' + "a " * 201 + '"'), "4:410", "more than 200 parts in a row"),
    "macros too deep": (
        expressions("go", more="  macros:\n" + "".join(f'    m{i}: "@m{i + 1}"\n' for i in range(40))),
        "25:11",
        "macros nest more than 20 deep",
    ),
    "macros that explode": (
        expressions(
            "go", more="  macros:\n    m0: a\n" + "".join(f'    m{i}: "@m{i - 1} @m{i - 1}"\n' for i in range(1, 19))
        ),
        "23:11",
        "@m16 stands for more than 50000 words",
    ),
    "sentence that explodes": (
        expressions(
            "x", more='    y: ["@b @b @b"]\n  macros:\n    a: "' + "so " * 180 + '"\n    b: "' + "@a " * 150 + '"\n'
        ),
        "5:9",
        "this sentence stands for more than 50000 words",
    ),
    "unknown word": (expressions('"make me a capuccino"'), "4:20", "did you mean 'cappuccino'"),
    "unknown slot word": (expressions("$x:x", more="  slots:\n    x:\n    - qwzx\n"), "7:7", "`qwzx: K AE T`"),
    "bad pronunciation": (expressions("go", more="pronunciations:\n  go: G QQ\n"), "6:7", "'QQ' is not a phone"),
    "intent twice": (expressions("go", more="    go: [run]\n"), "5:5", "'go' appears twice"),
    "no sentences": ("context:\n  expressions:\n    go:\n", "3:8", "the intent 'go' is empty"),
    "no intents": ("context:\n  expressions: {}\n", "2:16", "`expressions:` is empty"),
    "no expressions": ("context:\n  slots: {a: [b]}\n", "2:3", "there are no `expressions:`"),
    "no context": ("pronunciations: {a: AH}\n", "1:1", "there is no `context:`"),
    "misspelt section": ("context:\n  expressionz:\n    go: [a]\n", "3:5", "did you mean 'expressions'"),
    "a list": ("- context\n", "1:1", "is not a map of names"),
    "nested list": (expressions("[a, b]"), "4:9", "put quotes around it"),
    "not YAML": ("context:\n  expressions: [\n", "3:1", "is not valid YAML"),
    "tab": ("context:\n\texpressions:\n", "2:1", "is not valid YAML"),
    "control character": ("context: \x07\n", None, "is not valid YAML"),
    "list within itself": (expressions("go", more="    x: &a [*a]\n"), "5:8", "put quotes around it"),
    "intent without a name": ('context:\n  expressions:\n    "": [go]\n', "3:9", "the intent '' cannot be printed"),
    "intent with a control character": (
        'context:\n  expressions:\n    "a\\0b": [go]\n',
        "3:13",
        "the intent 'a\\x00b' cannot be printed",
    ),
    "empty file": ("", None, "the grammar is empty"),
}


@pytest.mark.parametrize(("text", "place", "message"), BAD.values(), ids=BAD.keys())
def test_mistakes_get_one_line_with_file_line_and_column(text, place, message):
    with pytest.raises(UserError) as caught:
        parse_grammar(text, "my.yaml")
    line = str(caught.value)
    where = "my.yaml: " if place is None else f"my.yaml:{place}: "
    assert line.startswith(where), line
    assert message in line, line
    assert "\n" not in line
    assert caught.value.advice
    assert caught.value.exit_code == 2


def test_columns_hold_for_plain_and_folded_scalars():
    with pytest.raises(UserError, match=r"^g:4:14: '5'"):
        parse_grammar(expressions("make 5 coffees"), "g")
    with pytest.raises(UserError, match=r"^g:4:9: '5'"):
        parse_grammar(expressions("make\n          5 coffees"), "g")


def test_unused_and_repeated_things_are_warned_of():
    more = "  slots:\n    size: [small, small]\n  macros:\n    m: [a]\npronunciations:\n  zorp: Z AO R P\n"
    warnings = parse_grammar(expressions("go", more=more), "g").warnings
    assert warnings == (
        "g:6:11: the slot 'size' lists a phrase twice",
        "g:6:11: the slot 'size' is never used",
        "g:8:8: the macro 'm' is never used",
        "g:10:9: the word 'zorp' has a pronunciation but is never used",
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [(None, "cannot be read"), (b"\xff\xfe", "not UTF-8"), (b"#" * (5 << 20), "larger than 4 MB"), (bytes(99), "YAML")],
    ids=["missing", "binary", "huge", "zeros"],
)
def test_unreadable_files(tmp_path, data, message):
    path = tmp_path / "g.yaml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        read_grammar(path)
    assert str(caught.value).startswith(str(path))


class TestCommand:
    """`stapes grammar`."""

    def run(self, *arguments):
        return CliRunner().invoke(grammar_command, [str(argument) for argument in arguments])

    def test_compiles_beside_the_file(self, tmp_path):
        path = tmp_path / "g.yaml"
        path.write_text(GRAMMAR)
        result = self.run(path)
        assert result.exit_code == 0, result.output
        figures = describe((tmp_path / "g.stg").read_bytes())
        assert f"{figures['bytes']} bytes, {figures['states']} states" in result.output
        assert "intents: order, stop" in result.output
        assert self.run(tmp_path / "g.stg").output == result.output.replace(".yaml", ".stg")

    def test_samples_and_checks(self, tmp_path):
        path = tmp_path / "g.yaml"
        path.write_text(GRAMMAR)
        result = self.run(path, "--sample", 3, "--check", "make a latte")
        assert result.exit_code == 0
        assert len(result.output.splitlines()) == 4
        assert result.output.endswith("make a latte\torder drink='latte'\n")
        assert not (tmp_path / "g.stg").exists()
        refused = self.run(path, "--check", "make a mess")
        assert isinstance(refused.exception, UserError)
        assert "not a sentence of the grammar: 'make a mess'" in str(refused.exception)

    def test_draws_dot(self, tmp_path):
        path = tmp_path / "g.yaml"
        path.write_text(GRAMMAR)
        assert self.run(path, "--draw", tmp_path / "g.dot").exit_code == 0
        dot = (tmp_path / "g.dot").read_text()
        assert dot.startswith("digraph grammar {")
        assert 'doublecircle, xlabel="order"' in dot
        assert "latte $drink" in dot
        assert isinstance(self.run(path, "--draw", tmp_path / "g.png").exception, UserError)

    def test_unwritable_output(self, tmp_path):
        path = tmp_path / "g.yaml"
        path.write_text(GRAMMAR)
        result = self.run(path, "-o", tmp_path / "none/g.stg")
        assert isinstance(result.exception, UserError)
        assert "cannot be written" in str(result.exception)


PIECES = ["", "  ", *"[](),$@:'\"-&*!#|> \n\t5\u00e9\x00"]
CHANGES = st.lists(st.tuples(st.integers(0, len(GRAMMAR)), st.sampled_from(PIECES)), max_size=4)


@settings(max_examples=100, deadline=None)
@given(CHANGES)
def test_garbled_files_are_read_or_refused(changes):
    text = GRAMMAR
    for at, character in changes:
        text = text[:at] + character + text[at + (1 if at % 2 else 0) :]
    try:
        grammar = parse_grammar(text, "g")
    except UserError as error:
        assert str(error).startswith("g:")
        assert "\n" not in str(error)
        return
    assert [grammar.accepts(said)[0] for said, _, _ in grammar.sentences(3)]
