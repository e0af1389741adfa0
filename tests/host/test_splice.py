"""Spliced speech: recordings aligned, stretches chosen, joined without a seam."""

import itertools
import random
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from stapes_tools.corpora import align, build, splice, units
from stapes_tools.corpora.executors import InProcess
from stapes_tools.corpora.words import phone_labels
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import UNIT_INDEX
from stapes_tools.train import data, recipe

SAMPLES = Path(__file__).parents[2] / "models/samples"
ESPRESSO = "please make me a double espresso with a dash of cream"
LATTE = "can i have a large latte with oat milk and two sugars"
LEXICON = Lexicon({"with": "W IH TH"})  # the first of two ways, as these voices say it
SAID = {"coffee_espresso": ESPRESSO, "coffee_large_latte": LATTE, "coffee_never_mind": "no never mind"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path))


@pytest.fixture
def recorded(cache):
    rows = [(name, text, name, SAMPLES / f"{name}.flac") for name, text in SAID.items()]
    return [build.recorded_pack("two", rows[:2]), build.recorded_pack("one", rows[2:])]


@pytest.fixture
def inventory(recorded):
    return units.load(units.inventory(recorded, LEXICON, "test"))


def _sentence(text):
    return splice._targets(text, LEXICON)


@pytest.mark.parametrize("name", SAID)
def test_phones_of_a_recording_are_its_words_without_gaps(name):
    samples = build.read_recording(SAMPLES / f"{name}.flac")
    phones = align.align(samples, SAID[name], LEXICON)
    assert [row.end for row in phones[:-1]] == [row.start for row in phones[1:]]
    assert (phones[0].start, phones[-1].end) == (0, len(samples))
    spoken = [row for row in phones if row.unit != align.SILENCE]
    words = [[row.unit for row in group] for _, group in itertools.groupby(spoken, lambda row: row.word)]
    for word, found in zip(SAID[name].split(), words, strict=True):
        assert tuple(found) in [tuple(UNIT_INDEX[p] for p in way) for way in LEXICON.pronunciations(word)]
    loud = [np.abs(samples[row.start : row.end].astype(int)).mean() for row in spoken]
    quiet = [np.abs(samples[row.start : row.end].astype(int)).mean() for row in phones if row.unit == align.SILENCE]
    assert np.median(loud) > 20 * max(quiet)


def test_words_that_were_not_said_do_not_fit():
    samples = build.read_recording(SAMPLES / "coffee_never_mind.flac")
    assert align.align(samples, " ".join([LATTE] * 3), LEXICON) is None


def test_inventory_says_whose_phones_they_are_and_what_is_beside_them(inventory):
    assert sorted(inventory.packs) == sorted({name for name in inventory.packs})
    assert inventory.level.shape == (3,) and len(set(inventory.speaker.tolist())) == 3
    first = inventory.recording == 0
    said = inventory.unit[first & (inventory.unit != align.SILENCE)].tolist()
    assert len(said) == len(phone_labels(ESPRESSO, LEXICON))
    assert inventory.before[0] == align.SILENCE and inventory.after[first][-1] == align.SILENCE
    assert (inventory.before[1:][first[1:]] == inventory.unit[:-1][first[1:]]).all()
    assert inventory.begins_word[first & (inventory.unit != align.SILENCE)].sum() == len(ESPRESSO.split())
    assert not inventory.is_sound[inventory.unit == align.SILENCE].any()
    assert abs(np.sqrt(np.mean(inventory.samples(0) ** 2)) - 1) < 0.5


def test_inventory_is_found_again(recorded, monkeypatch):
    path = units.inventory(recorded, LEXICON, "again")
    monkeypatch.setattr(units, "align", None)
    assert units.inventory(recorded, LEXICON, "again") == path


def test_what_was_said_as_it_is_wanted_stays_in_one_piece(inventory):
    willing = replace(inventory, is_sound=inventory.unit != align.SILENCE)  # its short phones, too
    text = LATTE.partition(" and")[0]
    row = splice.choose(_sentence(text), willing, random.Random(3))
    assert list(splice.stretches(row, willing)) == [(row[0], row[-1])]
    assert inventory.recording[row[0]] == 1 and inventory.unit[row].tolist() == phone_labels(text, LEXICON)


def test_one_piece_is_the_recording_itself(inventory):
    (first, last) = next(
        splice.stretches(splice.choose(_sentence("no never mind"), inventory, random.Random(3)), inventory)
    )
    speech = splice._joined([(first, last)], inventory)
    samples = inventory.samples(int(inventory.recording[first]))
    at = max(int(inventory.start[first]) - splice._LEAD, 0)
    assert np.abs(speech).max() == 16000
    assert np.corrcoef(speech, samples[at : at + len(speech)])[0, 1] > 0.999999


def test_sentence_is_made_of_its_phones_from_several_recordings(inventory):
    text = "a double latte with cream and two sugars"
    row = splice.choose(_sentence(text), inventory, random.Random(5))
    assert inventory.unit[row].tolist() == phone_labels(text, LEXICON)
    assert len({int(inventory.recording[unit]) for unit in row}) > 1
    speech = splice.splice(text, inventory, LEXICON, random.Random(5))
    length = (inventory.end[row] - inventory.start[row]).sum()
    assert length < len(speech) < length + splice._LEAD + splice._TAIL + 2 * splice._SHIFT * len(row)
    np.testing.assert_array_equal(speech, splice.splice(text, inventory, LEXICON, random.Random(5)))


def test_a_join_makes_no_step(inventory):
    """The fade of a tone into itself at another phase is the tone again, nearly."""
    tone = np.sin(np.arange(8000) * 2 * np.pi * 200 / 16000).astype(np.float32)
    at = splice._in_phase(tone[-2 * splice._FADE :], tone, 3037)
    joined = splice._faded(tone, tone[at:])
    assert np.abs(np.diff(joined)).max() < 1.02 * np.abs(np.diff(tone)).max()


def test_path_is_the_cheapest_of_all():
    chance = np.random.default_rng(4)
    for _ in range(20):
        counts = chance.integers(1, 5, 4)
        costs = [chance.random(count) for count in counts]
        joins = [chance.random(pair) for pair in itertools.pairwise(counts)]

        def price(path, costs=costs, joins=joins):
            own = sum(cost[index] for cost, index in zip(costs, path, strict=True))
            return own + sum(join[pair] for join, pair in zip(joins, itertools.pairwise(path), strict=True))

        best = min(itertools.product(*map(range, counts)), key=price)
        assert splice.cheapest(costs, joins) == list(best)


def test_pack_of_spliced_sentences(recorded):
    sentences = ["a double latte", "two sugars please", "oat milk with cream"]
    made = [splice.spliced_pack(sentences, recorded, LEXICON, 5, 7, executor=InProcess()) for _ in range(2)]
    assert made[0].folder == made[1].folder and len(made[0]) == 5
    assert {utterance.text for utterance in made[0].utterances} == set(sentences)
    assert all(np.abs(samples).max() == 16000 for _, samples in made[0])
    other = splice.spliced_pack(sentences, recorded, LEXICON, 5, 8, executor=InProcess())
    assert other.folder != made[0].folder


def test_phone_that_nobody_said_is_named(inventory):
    with pytest.raises(UserError, match="no recording has the phone OY") as caught:
        splice.choose(_sentence("oyster"), inventory, random.Random(1))
    assert "recorded" in caught.value.advice


def test_missing_aligner_is_named_with_its_command(monkeypatch):
    align._decoder.cache_clear()
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(UserError, match="PocketSphinx, which is not installed") as caught:
        align.align(np.zeros(1600, np.int16), "no", LEXICON)
    assert "make train-tools" in caught.value.advice


GRAMMAR = """
context:
  expressions:
    order:
      - "(please) make me a $size:size latte with $extra:extra"
  slots:
    size: [large, double]
    extra: [cream, oat milk, two sugars]
"""


def test_recipe_splices_from_its_recordings(cache, tmp_path):
    root = tmp_path / "data" / "people"
    (root / "audio").mkdir(parents=True)
    names = {name.replace("_", "-"): name for name in SAID}
    for own, name in names.items():
        (root / "audio" / f"{own}.flac").write_bytes((SAMPLES / f"{name}.flac").read_bytes())
    (root / "text.tsv").write_text("".join(f"{own}\t{SAID[name]}\n" for own, name in names.items()))
    (tmp_path / "orders.yaml").write_text(GRAMMAR)
    entry = recipe.Synthetic("orders", 3, grammars={str(tmp_path / "orders.yaml"): 40}, spliced=4)
    settings = recipe.Data(
        root=str(root.parent),
        recorded=["people"],
        noises=[],
        rooms=[],
        synthetic=[entry],
        processes=1,
        copies=1,
        longest_s=15.0,
    )
    spliced, people = data.training_packs(recipe_of(settings), LEXICON)
    assert len(people) == 3 and len(spliced) == 4
    assert {row.text for row in spliced.utterances} <= set(data.synthetic_sentences(settings, entry, LEXICON))


def recipe_of(settings):
    return SimpleNamespace(data=settings)
