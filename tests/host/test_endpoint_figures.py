"""True ends by energy, what decisions add up to, and thresholds against the rules of the kernel."""

import numpy as np
import pytest
import stapes_spec as spec
from stapes_tools.corpora.augment import Surroundings
from stapes_tools.endpoint.decisions import Decision, Spread, figures
from stapes_tools.endpoint.recordings import PAUSE_MS, make
from stapes_tools.endpoint.truth import speech_ms, stretches_ms

RATE = spec.AUDIO_SAMPLE_RATE_HZ


def tone(ms, amplitude=8000):
    return (amplitude * np.sin(np.arange(ms * RATE // 1000) * 0.3)).astype(np.int16)


def silence(ms, level=3):
    return np.random.default_rng(ms).integers(-level, level + 1, ms * RATE // 1000).astype(np.int16)


# --- the true end ------------------------------------------------------------------------


def test_speech_lies_between_the_silences():
    x = np.concatenate([silence(500), tone(700), silence(400), tone(300), silence(900)])
    assert stretches_ms(x) == [(500, 1200), (1600, 1900)]
    assert speech_ms(x) == (500, 1900)


def test_a_click_after_the_end_does_not_count():
    x = np.concatenate([silence(300), tone(700), silence(900), tone(40), silence(300)])
    assert speech_ms(x) == (300, 1000)


def test_a_burst_close_to_the_end_does_count():
    """The release of a final stop."""
    x = np.concatenate([silence(300), tone(700), silence(150), tone(40), silence(300)])
    assert speech_ms(x) == (300, 1190)


@pytest.mark.parametrize("level", [0, 3, 60])
def test_quiet_ends_and_loud_rooms(level):
    """What is 30 dB below the loudest still counts, unless the room is nearly as loud."""
    x = np.concatenate([silence(500, level), tone(700), tone(200, 8000 // 32), silence(900, level)])
    end = speech_ms(x)[1]
    assert end == (1400 if level < 60 else 1200)


@pytest.mark.parametrize("samples", [np.zeros(0, np.int16), np.zeros(100, np.int16), np.zeros(RATE, np.int16)])
def test_no_speech(samples):
    assert speech_ms(samples) is None


# --- recordings with known ends --------------------------------------------------------------


def words():
    """Five bursts with dips of 60 ms between them."""
    parts = [part for k in range(5) for part in (tone(400, 6000 + 500 * k), silence(60, 1))]
    return np.concatenate([silence(200), *parts, silence(200)])


@pytest.mark.parametrize("pauses", [0, 1, 2])
def test_known_end_is_where_the_dry_speech_ends(pauses):
    one = make(words(), Surroundings([], []), [1, pauses], True, pauses)
    assert one.pauses == pauses
    begin, end = speech_ms(one.samples)
    assert abs(end - one.end_ms) <= 20
    assert len(one.samples) * 1000 // RATE >= one.end_ms + 2000
    gaps = [b - a for (_, a), (b, _) in zip(stretches_ms(one.samples), stretches_ms(one.samples)[1:], strict=False)]
    assert sum(gap >= PAUSE_MS[0] for gap in gaps) == pauses
    assert end - begin >= 1700 + pauses * PAUSE_MS[0]


def test_equal_seeds_make_equal_recordings():
    places = Surroundings([np.random.default_rng(0).standard_normal(RATE).astype(np.float32)], [])
    one, same, other = (make(words(), places, [seed], True, 1) for seed in (5, 5, 6))
    assert np.array_equal(one.samples, same.samples) and one.end_ms == same.end_ms
    assert len(one.samples) != len(other.samples) or not np.array_equal(one.samples, other.samples)


def test_silence_makes_no_recording():
    assert make(np.zeros(RATE, np.int16), Surroundings([], []), [1], True, 0) is None


# --- figures -------------------------------------------------------------------------------


def test_figures():
    decisions = [
        Decision(1000, 1200, 1400, False),
        Decision(1000, 1150, 1500, True),
        Decision(1000, None, 1600, False),
        Decision(1000, 800, 900, False),
        Decision(1000, 1100, None, False),
    ]
    found = figures(decisions)
    assert found.final_latency_ms == Spread(500, 600)
    assert found.speculative_latency_ms == Spread(200, 600)
    assert found.lead_ms == Spread(200, 350)
    assert (found.early_cut_rate, found.revised_rate, found.undecided_rate) == (0.2, 0.2, 0.2)
    assert found.saved_ms == pytest.approx(200 / 3)


def test_weights():
    decisions = [Decision(0, 100, 300, False, 3.0), Decision(0, 200, 900, True, 1.0)]
    found = figures(decisions)
    assert found.final_latency_ms == Spread(300, 900)
    assert found.revised_rate == 0.25
    assert found.saved_ms == 150


def test_nothing_decided():
    found = figures([Decision(1000, None, None, False)])
    assert found.final_latency_ms is None and found.undecided_rate == 1.0 and found.saved_ms == 0.0
