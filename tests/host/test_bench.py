"""The figures of `stapes bench board`, computed from counts; the counts themselves come from the emulator."""

from pathlib import Path

import pytest
import stapes_spec as spec
from stapes.link.frame import FrameWriter
from stapes_tools.bench.board import FLASH_BYTES_PER_S, BoardCost, flash_bytes_per_step
from stapes_tools.bench.profile import Profile, per_second, profile_of, stage_of
from stapes_tools.cli.bench import figures_of
from stapes_tools.cli.main import main
from stapes_tools.convert.inspect import describe, totals
from stapes_tools.convert.topology import Branching
from stapes_tools.convert.write import random_model
from stapes_tools.device.emulator import Samples

COST = BoardCost(
    audio_ms=3000, steps=100, cycles=375_000_000, state_bytes=80_000, flash_bytes_per_step=93_000.0,
    joint_evaluations=250, boot_ms=15.04, profile=Profile({"search": 375_000_000}, [3_000_000] * 199 + [7_980_000]),
)  # fmt: skip


def test_real_time_factor_counts_cycles_and_flash():
    assert FLASH_BYTES_PER_S == 31_000_000
    # 3.75 M cycles at 125 MHz are 30 ms of a 30 ms step; 93 KB at 31 MB/s are 3 ms more.
    assert COST.real_time_factor(125_000_000) == pytest.approx(1.1, rel=1e-12)
    assert COST.real_time_factor(250_000_000) == pytest.approx(0.6, rel=1e-12)


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
    assert figures["ram_bytes"] == 80_000
    # At 133 MHz; and 93 KB at 31 MB/s are 3 ms.
    assert figures["worst_step_ms"] == 63.0
    assert figures["step_99th_percentile_ms"] == 25.6


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
    profile = profile_of(
        Samples({("reach", "stk_decoder_step"): 40, ("memset",): 60, ("expand", "stk_decoder_step"): 50}, sent)
    )
    assert profile.steps == [65, 225]
    assert profile.worst_step == 225 and profile.step_99th == 225
    assert list(profile.stages.items()) == [("search", 90), ("MicroPython", 60)]
    assert per_second(profile.stages, 500) == {"search": 180, "MicroPython": 120}


def test_a_missing_recording_is_one_line(capfd, tmp_path: Path):
    assert main(["bench", "board", str(tmp_path / "none.wav")]) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "none.wav" in err
