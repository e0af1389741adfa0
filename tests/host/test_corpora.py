"""Readers, sentences, packs and augmentation of training speech."""

import numpy as np
import pytest
import soundfile
from stapes_tools.corpora import voices
from stapes_tools.corpora.augment import Surroundings, augment
from stapes_tools.corpora.babble import FEW, Files, Packs, make_babble
from stapes_tools.corpora.build import read_recording, recorded_pack
from stapes_tools.corpora.effects import to_int16
from stapes_tools.corpora.noisiness import Noisiness
from stapes_tools.corpora.readers import CorpusError, read_librispeech, read_speechocean, read_wake_phrases
from stapes_tools.corpora.sentences import random_words, sample_commands
from stapes_tools.corpora.store import AudioPack, write_pack
from stapes_tools.corpora.words import clean_words, phone_labels, spoken_everywhere
from stapes_tools.grammar.lexicon import Lexicon, UnknownWordError
from stapes_tools.grammar.units import UNITS

GRAMMAR = """
context:
  expressions:
    order:
      - "[I'd like, get me] a $size:size coffee (please)"
  slots:
    size: [small, extra large]
"""


def _tone(seconds=0.5, rate=16000):
    return (8000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype(np.int16)


def test_commands_are_all_of_a_small_grammar_and_nothing_else(tmp_path):
    (tmp_path / "coffee.yaml").write_text(GRAMMAR)
    found = sample_commands(tmp_path / "coffee.yaml", 100, seed=1)
    expected = {
        f"{start} a {size} coffee{end}"
        for start in ("i'd like", "get me")
        for size in ("small", "extra large")
        for end in ("", " please")
    }
    assert len(found) == len(expected) and set(found) == expected
    assert sample_commands(tmp_path / "coffee.yaml", 3, seed=2) == sample_commands(tmp_path / "coffee.yaml", 3, seed=2)


def test_random_words_keep_to_the_vocabulary_and_lengths():
    lines = random_words({"one": 1.0, "two": 3.0}, 50, seed=4, shortest=2, longest=3)
    assert len(lines) == 50 and {len(line.split()) for line in lines} == {2, 3}
    assert {word for line in lines for word in line.split()} == {"one", "two"}


def test_words_lose_punctuation_and_become_phones():
    assert clean_words("I\N{RIGHT SINGLE QUOTATION MARK}d like it, please!") == ["i'd", "like", "it", "please"]
    lexicon = Lexicon()
    assert [UNITS[unit] for unit in phone_labels("Coffee", lexicon)] == ["K", "AA", "F", "IY"]
    assert spoken_everywhere(["coffee", "xqzw coffee", "..."], lexicon) == ["coffee"]
    with pytest.raises(UnknownWordError):
        phone_labels("xqzw", lexicon)


def test_a_pack_gives_back_what_was_written_and_leaves_out_silence(tmp_path):
    rows = [("a", "one", "s1", _tone()), ("b", "two", "s1", np.zeros(0, np.int16)), ("c", "three", "s2", _tone(0.1))]
    write_pack(tmp_path / "pack", rows)
    pack = AudioPack(tmp_path / "pack")
    assert [utterance.name for utterance in pack.utterances] == ["a", "c"]
    for (utterance, samples), row in zip(pack, (rows[0], rows[2]), strict=True):
        assert (utterance.text, utterance.speaker) == row[1:3]
        np.testing.assert_array_equal(samples, row[3])
    assert pack.hours == pytest.approx(0.6 / 3600)


def test_corpora_are_read_with_their_speakers(tmp_path):
    split = tmp_path / "train"
    split.mkdir()
    (split / "text").write_text("u1 WE CALL IT BEAR\n")
    (split / "utt2spk").write_text("u1 0001\n")
    assert list(read_speechocean(tmp_path, "train")) == [
        ("u1", "we call it bear", "0001", tmp_path / "audio" / "u1.opus")
    ]
    (tmp_path / "text.tsv").write_text("7-1-0\t0.95\tgood words\n8-1-0\t0.5\tunsure\n9-1-0\t0.99\tchapter 9\n")
    assert [row[:3] for row in read_librispeech(tmp_path, 0.9)] == [("7-1-0", "good words", "7")]
    (tmp_path / "wake" / "alexa").mkdir(parents=True)
    for name in ("1.opus", "2.opus"):
        (tmp_path / "wake" / "alexa" / name).touch()
    assert [row[:2] for row in read_wake_phrases(tmp_path / "wake", 1)] == [("alexa-1", "alexa")]


def test_what_is_missing_or_wrong_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"text\.tsv: no such file"):
        list(read_librispeech(tmp_path, 0.9))
    with pytest.raises(CorpusError, match="there is no such file"):
        read_recording(tmp_path / "none.flac")
    soundfile.write(tmp_path / "slow.flac", _tone(rate=8000), 8000)
    with pytest.raises(CorpusError, match="8000 Hz"):
        read_recording(tmp_path / "slow.flac")


def test_recordings_are_decoded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "u1.flac"
    soundfile.write(path, _tone(), 16000)
    first = recorded_pack("tone", [("u1", "beep", "s", path)])
    path.unlink()
    second = recorded_pack("tone", [("u1", "beep", "s", path)])
    np.testing.assert_array_equal(second.samples(second.utterances[0]), _tone())
    assert first.folder == second.folder


def test_held_out_voices_are_never_training_voices():
    speakers = {
        voice.partition("/")[2].partition("+")[0] for voice in voices.HELD_OUT if voice.startswith("kokoro-js/")
    }
    assert len(speakers) == 7
    for voice in voices.list_voices("kokoro-js"):
        assert voice.partition("/")[2].partition("+")[0] not in speakers
    for engine in ("espeak-ng", "flite", "hibari", "piper"):
        variants = {voice.partition("+")[2] for voice in voices.HELD_OUT if voice.startswith(engine)}
        for voice in voices.list_voices(engine):
            assert voice not in voices.HELD_OUT
            assert "+" not in voice or voice.partition("+")[2] not in variants


@pytest.fixture
def around():
    rng = np.random.default_rng(1)
    return Surroundings([rng.normal(0, 0.1, 5000).astype(np.float32)], [np.array([1.0, 0.5, 0.2], np.float32)])


def test_augmentation_repeats_with_its_seed_and_changes_with_another(around):
    first, again, other = (augment(_tone(), around, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.int16
    np.testing.assert_array_equal(first, again)
    assert first.size != other.size or np.any(first != other)


def test_augmentation_stays_within_its_promises(around):
    for seed in range(30):
        changed = augment(_tone(2.0), around, np.random.default_rng(seed))
        assert 32000 / 1.15 + 3200 - 2 <= changed.size <= 32000 / 0.85 + 32000 + 4000 + 2
        assert np.abs(changed.astype(int)).max() > 300
    assert augment(np.zeros(100, np.int16), around, np.random.default_rng(0)).size > 3200


def test_longer_silences_are_drawn_only_where_they_are_asked_for(around):
    def seconds(longest_s):
        noisiness = Noisiness(longest_silence_s=longest_s)
        rngs = map(np.random.default_rng, range(60))
        return [augment(_tone(2.0), around, rng, noisiness=noisiness).size / 16000 for rng in rngs]

    usual, long = np.array(seconds(1.0)), np.array(seconds(4.0))
    assert usual.max() < 2.0 / 0.85 + 2.0 + 0.3
    assert long.max() > usual.max() + 1.0
    # Three in ten before, three in ten after: half of the utterances stay as they are.
    assert 0.25 < np.mean(np.isclose(usual, long, atol=1e-3)) < 0.75


def test_rooms_are_heard_as_often_as_they_are_asked_for():
    """A room whose echo comes a second late makes a recording longer by its tail."""
    room = np.zeros(16001, np.float32)
    room[[0, -1]] = 1.0

    def share(noisiness):
        sizes = [
            [augment(_tone(1.0), around, np.random.default_rng(seed), noisiness=noisiness).size for around in places]
            for seed in range(80)
        ]
        return np.mean([dry != wet for dry, wet in sizes])

    places = Surroundings([], [np.ones(1, np.float32)]), Surroundings([], [room])
    tails = [Noisiness(0.0, room_share=wanted) for wanted in (0.0, 0.7, 1.0)]
    assert [share(one) for one in tails] == [0.0, pytest.approx(0.7, abs=0.13), 1.0]
    assert share(Noisiness(0.0)) == pytest.approx(0.4, abs=0.14)


def test_noises_at_once_are_mixed_to_the_level_of_one():
    pitches = (700, 1300, 3000)
    tones = [np.sin(np.arange(16000) * pitch / 16000 * 2 * np.pi).astype(np.float32) for pitch in pitches]

    def heard(at_once, seed):
        noisiness = Noisiness(1.0, -6.0, -6.0, at_once)
        rng = np.random.default_rng(seed)
        x = augment(_tone(1.0), Surroundings(tones, []), rng, noisiness=noisiness).astype(float)
        spectrum = np.abs(np.fft.rfft(x * np.hanning(x.size)))
        # A noise is played at 0.8 to 1.25 of its speed.
        ratio = np.arange(spectrum.size) * 16000 / x.size / np.array(pitches)[:, None]
        bands = np.max(spectrum * ((ratio > 0.79) & (ratio < 1.26)), axis=1)
        return np.sum(bands > 0.05 * bands.max()), np.sqrt(np.mean(x**2))

    counts, levels = np.array([heard(1, seed) for seed in range(20)]).T
    more, same = np.array([heard(3, seed) for seed in range(20)]).T
    # Clipping now and then makes harmonics.
    assert np.median(counts) == 1 and more.max() == 3 and np.mean(more) > np.mean(counts) + 0.3
    # The level is drawn before the noises.
    assert np.median(np.divide(same, levels)) == pytest.approx(1.0, rel=0.02)


def test_babble_repeats_with_its_seed_and_is_never_one_voice(tmp_path):
    for number, pitch in enumerate((400, 900, 2000, 3500)):
        soundfile.write(tmp_path / f"{number}.flac", np.sin(np.arange(32000) * pitch / 16000 * 2 * np.pi) * 0.3, 16000)
    people = Files(sorted(tmp_path.glob("*.flac")))
    babble, again = make_babble(people, 4, 1), make_babble(people, 4, 1)
    for noise, same in zip(babble, again, strict=True):
        np.testing.assert_array_equal(noise, same)
        assert noise.dtype == np.float32 and noise.shape == (160000,)
        # Tones of one person would fill no more than one band in any tenth of a second.
        spectra = np.abs(np.fft.rfft(noise.reshape(-1, 1600) * np.hanning(1600))) ** 2
        at = [spectra[:, round(pitch / 10) - 1 : round(pitch / 10) + 2].sum(axis=1) for pitch in (400, 900, 2000, 3500)]
        assert np.mean(np.sum(np.array(at) > 0.05 * np.sum(at, axis=0), axis=0) > 1) > 0.5
    assert not np.array_equal(babble[0], make_babble(people, 1, 2)[0])
    # The same people out of packs, two and two, as they lie there: in 16 bits.
    for number in range(2):
        rows = [(str(index), "", "", to_int16(people[index])) for index in (2 * number, 2 * number + 1)]
        write_pack(tmp_path / f"pack{number}", rows)
    packs = Packs([tmp_path / "pack0", tmp_path / "pack1"])
    assert len(packs) == len(people) == 4
    for noise, same in zip(babble, make_babble(packs, 4, 1), strict=True):
        np.testing.assert_array_equal(noise, same)
    few = make_babble(people, 6, 1, FEW)
    assert all(noise.shape == (640000,) for noise in few)
    loud = [np.abs(noise.reshape(-1, 1600)).max(axis=1) > 0.003 for noise in few]
    # Somebody talks, and now and then nobody does.
    assert all(np.mean(steps) > 0.2 for steps in loud) and min(np.mean(steps) for steps in loud) < 0.9
