"""Settings of a board's microphone: what is taken, what is refused, and in which words."""

import tomllib
from pathlib import Path

import pytest
import stapes_spec as spec
from stapes.errors import StapesError
from stapes.microphone_settings import KINDS, Settings

BOARDS = Path(__file__).resolve().parents[2] / "boards"
I2S = {"kind": "INMP441", "sck": 10, "ws": 11, "sd": 12}
PDM = {"kind": "PDM", "clock": 14, "data": 15}
ADC = {"kind": "ADC", "pin": 26}


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"kind": "SPH0646"}, "kind is 'SPH0646', not one of ADC, ICS-43434, INMP441, PDM, SPH0645"),
        ({"ws": 10}, "pin 10 is given for both sck and ws"),
        ({"sd": 11}, "pin 11 is given for both ws and sd"),
        ({"ws": 13}, "ws is pin 13; it must be the one after sck, 11"),
        ({"sd": 30}, "sd is 30, no whole number from 0 to 29"),
        ({"sd": "GP12"}, "sd is 'GP12', no whole number"),
        ({"sd": True}, "sd is True, no whole number"),
        ({"channel": "middle"}, "channel is 'middle', not left or right"),
        ({"gain_db": 25}, "gain_db is 25, no multiple of 6"),
        ({"gain_db": 90}, "gain_db is 90, no whole number from 0 to 84"),
        ({"rate": 48000}, "rate is 48000: models hear 16000 Hz"),
        ({"worst_step_ms": 0}, "worst_step_ms is 0, no whole number from 1 to 2000"),
        ({"driver": "dma"}, "driver is 'dma'; here it may be pio or machine"),
        ({"state_machine": 8}, "state_machine is 8, no whole number from 0 to 7"),
        ({"clock": 3}, "clock is no setting of kind INMP441"),
        ({"gain": 3}, "gain is no setting of kind INMP441"),
    ],
)
def test_a_wrong_setting_is_named(change, detail):
    with pytest.raises(StapesError) as caught:
        Settings({**I2S, **change}, "rp2")
    assert caught.value.code == spec.ERROR_MICROPHONE_SETTINGS
    assert detail in caught.value.detail
    assert "\n" not in str(caught.value) and "docs/microphones.md" in str(caught.value)


@pytest.mark.parametrize(
    ("table", "platform", "detail"),
    [
        ({"kind": "INMP441", "sck": 10, "ws": 11}, "rp2", "sd is missing"),
        ({"kind": "ADC", "pin": 25}, "rp2", "pin 25 has no ADC; pins 26 to 29 have"),
        ({**ADC, "driver": "machine"}, "rp2", "kind ADC needs driver pio, which is the RP2040's"),
        (PDM, "esp32", "kind PDM needs driver pio, which is the RP2040's"),
        ({**I2S, "driver": "pio"}, "esp32", "driver is 'pio'; here it may be machine"),
    ],
)
def test_what_a_board_cannot_do_is_named(table, platform, detail):
    with pytest.raises(StapesError) as caught:
        Settings(table, platform)
    assert detail in caught.value.detail


def test_kinds_become_what_the_kernel_asks_for():
    found = {kind: Settings({**table, "kind": kind}, "rp2").config for kind, table in kinds().items()}
    assert found == {
        "INMP441": (0, 24, 0, 4, 8),
        "ICS-43434": (0, 24, 0, 4, 8),
        "SPH0645": (1, 18, 0, 4, 8),
        "PDM": (0, 24, 0, 3, 8),
        "ADC": (20, 12, 1, 0, 8),
    }


def kinds():
    return {kind: {"i2s": I2S, "pdm": PDM, "adc": ADC}[bus[0]] for kind, bus in KINDS.items()}


@pytest.mark.parametrize(("worst_ms", "steps"), [(1, 3), (30, 3), (31, 4), (60, 4), (120, 6)])
def test_the_ring_outlasts_the_slowest_step(worst_ms, steps):
    assert Settings({**I2S, "worst_step_ms": worst_ms}, "rp2").ring_steps == steps


def test_elsewhere_any_pins_will_do():
    settings = Settings({"kind": "SPH0645", "sck": 33, "ws": 4, "sd": 40}, "esp32")
    assert (settings.driver, settings.pins) == ("machine", (33, 4, 40))


@pytest.mark.parametrize("path", sorted(BOARDS.glob("*/board.toml")), ids=lambda path: path.parent.name)
def test_every_boards_own_settings_are_right(path):
    board = tomllib.loads(path.read_text())
    settings = Settings(board["microphone"], "rp2")
    assert settings.bus == "i2s"
    # The comment in board.toml.
    assert 4 * spec.FRONTEND_STEP_SAMPLES * settings.ring_steps == 7680
