"""The figures of `stapes bench board`, computed from counts; the counts themselves come from the emulator."""

import dataclasses
from pathlib import Path

import pytest
import stapes_spec as spec
from stapes.link.frame import FrameWriter
from stapes_tools.bench.board import BoardCost, flash_bytes_per_step
from stapes_tools.bench.duty import Duty
from stapes_tools.bench.profile import Profile, link_profile, per_second, profile, stage_of
from stapes_tools.cli.bench import figures_of, worst_step
from stapes_tools.cli.main import main
from stapes_tools.convert.inspect import describe, totals
from stapes_tools.convert.topology import Branching
from stapes_tools.convert.write import random_model
from stapes_tools.device.emulator import Samples
from stapes_tools.device.flash_cache import FlashCache

COST = BoardCost(
    audio_ms=3000, steps=100, cycles=375_000_000, ram_bytes=80_000, flash_bytes_per_step=93_000.0,
    fetched_per_cycle=0.0025, joint_evaluations=250, boot_ms=15.04,
    profile=Profile({"search": 375_000_000}, [3_000_000] * 199 + [7_980_000], [{"search": 1}] * 199 + [{"joint": 9}]),
)  # fmt: skip


def test_real_time_factor_counts_cycles_and_flash():
    # 3.75 M cycles at 125 MHz are 30 ms of a 30 ms step; every 400th is one of 40 that wait for a word.
    assert COST.real_time_factor(125_000_000) == pytest.approx(1.1, rel=1e-12)
    assert COST.real_time_factor(250_000_000) == pytest.approx(0.55, rel=1e-12)


def test_flash_traffic_counts_the_joint_as_often_as_it_ran():
    model = random_model(1)
    rows = describe(model)
    encoder, joint = totals(rows, "encoder").constant_bytes, totals(rows, "joint").constant_bytes
    assert encoder > 1000 and joint > 500
    assert flash_bytes_per_step(model, {"steps": 10, "joint_evaluations": 0}) == encoder
    assert flash_bytes_per_step(model, {"steps": 10, "joint_evaluations": 25}) == encoder + 2.5 * joint


def test_flash_traffic_counts_each_branch_as_often_as_it_ran():
    model = random_model(1, branching=Branching((0,), 8, 4))
    rows = describe(model)
    heavy, light, arbitrator, joint = (
        totals(rows, name).constant_bytes for name in ("encoder", "encoder_light", "arbitrator", "joint")
    )
    counts = {"steps": 10, "light_steps": 4, "joint_evaluations": 25}
    assert flash_bytes_per_step(model, counts) == pytest.approx(0.6 * heavy + 0.4 * light + arbitrator + 2.5 * joint)


def test_figures_are_named_with_their_units():
    figures = figures_of(COST)
    assert figures["cycles_per_step"] == 3_750_000
    assert figures["cycles_per_audio_second"] == 125_000_000
    assert figures["joint_evaluations_per_step"] == 2.5
    assert figures["real_time_factor_125_mhz"] == 1.1
    assert figures["real_time_factor"] == figures["real_time_factor_133_mhz"]
    assert figures["ram_bytes"] == 80_000
    assert figures["cache_fetches_per_step"] == 9375
    # At 133 MHz, a tenth of it for the words.
    assert figures["worst_step_ms"] == 66.0
    assert figures["step_99th_percentile_ms"] == 24.8


def test_the_worst_step_is_shown_with_what_is_in_it():
    assert worst_step(COST) == {"step": 200, "time_ms": 6000, "stages": {"joint": 9}}
    assert worst_step(dataclasses.replace(COST, profile=Profile({}, [], []))) == {}


def test_steps_by_the_boards_clock_have_their_own_stages():
    places = [("memset",), ("reach", "stk_decoder_step")]
    samples = Samples(places, [0, 1, 1, 0, 1], [5, 10, 20, 30, 40], [100, 110, 120, 130, 140], 0, [])
    found = profile(samples, (100, 135), [(100, 115), (115, 132)], 125)
    assert found.stages == {"search": 30, "MicroPython": 30}  # what lies at the end or before the begin is not in it
    assert found.steps == [125 * 15, 125 * 17]
    assert found.parts == [{"search": 10}, {"MicroPython": 30, "search": 20}]
    assert (found.worst, found.worst_step) == (1, 125 * 17)


def test_the_flash_cache():
    """Words are fetched one by one; 16 KB are held, two lines of a set."""
    cache = FlashCache()
    assert [cache.fetches(address) for address in (0x1000_0000, 0x1000_0003, 0x1000_0004, 0x1000_0004)] == [1, 0, 1, 0]
    cache = FlashCache()
    for address in range(0x1000_0000, 0x1000_4000, 4):
        assert cache.fetches(address)
    assert not any(cache.fetches(address) for address in range(0x1000_0000, 0x1000_4000, 4))
    assert cache.fetches(0x1000_4000)  # in the place of the line of its set that was used least recently
    assert cache.fetches(0x1000_0000) and not cache.fetches(0x1000_4000) and cache.fetches(0x1000_2000)


@pytest.mark.parametrize(
    ("place", "stage"),
    [
        (("st_fft_complex", "stk_frontend_apply"), "front end"),
        (("st_zero_skip_sums4", "st_op_invoke_conv", "stk_model_invoke"), "encoder: matrices"),
        (("memcpy", "st_op_invoke_concatenation", "stk_model_invoke"), "encoder: CONCATENATION"),
        (("st_op_invoke", "stk_model_invoke"), "encoder: interpreter"),
        (("st_zero_skip_sums4", "st_op_invoke_conv", "stk_encoder_step"), "encoder: matrices"),
        (("st_dense_pair", "st_dense_rows", "st_op_invoke_conv", "score", "stk_decoder_step"), "joint"),
        (("st_log2", "st_log_softmax", "score", "stk_decoder_step"), "log-softmax"),
        (("reach", "stk_decoder_step"), "search"),
        (("st_dense_rows", "st_op_invoke_conv", "stk_endpoint_step"), "end-pointers"),
        (("tud_task_ext", "st_op_invoke_conv", "stk_model_invoke"), "link"),  # an interrupt
        (("st_audio_run", "stk_frontend_apply"), "microphone"),  # an old word of the stack
        (("mp_execute_bytecode",), "MicroPython"),
        (("",), "MicroPython"),
    ],
)
def test_a_stage_is_told_by_the_function_and_its_callers(place, stage):
    assert stage_of(place) == stage


def test_a_step_lasts_from_one_acknowledgement_to_the_next():
    """Commands take no step; acknowledgements may come in pieces, or ride on events; two at once are no step."""
    writer = FrameWriter(padded=False)

    def frame(kind, ack):
        return bytes(writer.encode(kind, 1, ack, spec.FRAME_PIECE_LAST, 0, 7, b"payload"))

    first = frame(spec.FRAME_TYPE_ACK, 6)
    sent = [
        (2, first[9:]),  # the end of a frame that was on its way already
        (10, frame(spec.FRAME_TYPE_REPLY, 5)),  # start
        (70, first[:5]),
        (75, first[5:] + frame(spec.FRAME_TYPE_ACK, 6)),
    ]
    sent += [(300, frame(spec.FRAME_TYPE_EVENT, 7)), (310, frame(spec.FRAME_TYPE_NEWS, 7))]
    sent += [(400, frame(spec.FRAME_TYPE_ACK, 9)), (999, frame(spec.FRAME_TYPE_REPLY, 10))]  # finish
    places = [("reach", "stk_decoder_step"), ("memset",), ("expand", "stk_decoder_step")]
    found = link_profile(Samples(places, [0, 1, 2], [40, 60, 50], [0, 0, 0], 0, sent))
    assert found.steps == [65, 225]
    assert found.worst_step == 225 and found.step_99th == 225
    assert list(found.stages.items()) == [("search", 90), ("MicroPython", 60)]
    assert found.parts == [{"search": 40}, {"MicroPython": 60, "search": 50}]
    assert per_second(found.stages, 500) == {"search": 180, "MicroPython": 120}


def test_a_missing_recording_is_one_line(capfd, tmp_path: Path):
    assert main(["bench", "board", str(tmp_path / "none.wav")]) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "none.wav" in err


def test_the_whole_images_share_of_the_time():
    # 75 M cycles in two seconds, every 400th of which waits 40 for a word: 41.25 M in a second of 125 M.
    duty = Duty("stop", 2_000_000_000, 75_000_000, 0.0025)
    assert duty.cycles_per_audio_second == 37_500_000
    assert duty.real_time_factor(125_000_000) == pytest.approx(0.33, rel=1e-12)
