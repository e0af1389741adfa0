"""A recipe from end to end on a handful of utterances: train, stop, adapt, export; and what is refused."""

import os
import re
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import soundfile
from stapes_tools.cli.main import main
from stapes_tools.convert import checkpoint
from stapes_tools.convert.label_prior import with_label_prior
from stapes_tools.convert.read import read_model
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.train import run
from stapes_tools.train.adapt import adapt, adaptation_recipe, without_missing_recordings
from stapes_tools.train.data import feature_set, label_counts, places_of, training_packs
from stapes_tools.train.places import surroundings
from stapes_tools.train.recipe import parse_recipe, read_recipe
from stapes_tools.train.teller import QuietTeller

GRAMMAR = """
context:
  expressions:
    light:
      - "[turn, switch] [on, off] the $room:room light"
  slots:
    room: [kitchen, hall]
"""
DATA = """
[data]
root = "nowhere"
recorded = []
noises = ["synthetic:2"]
rooms = ["synthetic:2"]
copies = 1
processes = 1
longest_s = 15.0
held_out = { hibari = 1.0 }
held_out_commands = 4

[[data.synthetic]]
name = "commands"
seed = 1
grammars = { @GRAMMARS@ }
engines = { hibari = 12 }
"""
STAGES = """
[model]
channels = 16
blocks = 2
width = 5
joint = 8

[training]
minutes = 1.0
batches = 12
steps_per_batch = 300
learning_rate = 2e-3
warmup_batches = 2
ctc_share = 0.2
ctc_weight = 0.3
"""
COMPRESSION = """
[compression]
minutes = 1.0
batches = 8
steps_per_batch = 300
learning_rate = 1e-3
zeros = 0.75
sparse_start = -1.0
sparse_end = 0.0
teacher_weight = 0.3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a grammar, a recipe, a trained model and a cache of its own."""
    folder = tmp_path_factory.mktemp("recipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAPES_CACHE", str(folder / "cache"))
        (folder / "lights.yaml").write_text(GRAMMAR)
        filled = DATA.replace("@GRAMMARS@", f'"{folder / "lights.yaml"}" = 8')
        (folder / "recipe.toml").write_text("seed = 1\n" + filled + STAGES + COMPRESSION)
        assert main(["train", str(folder / "recipe.toml")]) == 0
        yield folder


def test_a_recipe_becomes_a_model_with_its_parameters_and_curves(folder, capsys):
    for name in ("model.tflite", "dense.npz", "compressed.npz", "curves.png"):
        assert (folder / name).stat().st_size > 500, name
    saved = checkpoint.load(folder / "compressed.npz")
    assert np.mean(saved.parameters["block0.pointwise.weight"] == 0) == pytest.approx(0.75, abs=0.02)
    assert checkpoint.load(folder / "dense.npz").parameters["block0.pointwise.weight"].all()
    assert main(["model", str(folder / "model.tflite")]) == 0
    assert list((folder / "cache").glob("train/*/dense/events/events.out.tfevents*"))


def test_a_finished_run_only_exports_again(folder, capsys):
    before = (folder / "model.tflite").read_bytes()
    assert main(["train", str(folder / "recipe.toml")]) == 0
    assert (folder / "model.tflite").read_bytes() == before


def test_a_model_is_adapted_from_a_grammar_alone(folder):
    (folder / "adapt.toml").write_text(f'seed = 1\nbase = "{folder}"\n' + DATA + COMPRESSION)
    text, recipe = adaptation_recipe(folder / "adapt.toml", [folder / "lights.yaml"])
    tell = QuietTeller()
    done = adapt(text, recipe, folder / "out", tell)
    assert any("no recordings are used" in line for line in tell.lines)
    assert 0.0 <= done.expected_acceptance <= 1.0 and done.model.stat().st_size > 500
    again = read_recipe(folder / "out" / "recipe.toml")
    assert again.base == str(folder) and list(again.data.synthetic[0].grammars.values()) == [4000]
    prior = checkpoint.load(folder / "out" / "compressed.npz").prior
    np.testing.assert_array_equal(prior, checkpoint.load(folder / "dense.npz").prior)


def test_without_recordings_what_is_made_and_ones_own_speech_stay():
    text = DATA.replace("@GRAMMARS@", '"lights.yaml" = 8').replace("recorded = []", 'recorded = ["speechocean762"]')
    talking = ["chatter:4:spoken:commands", "synthetic:2", "noise/tap.flac", "babble:4:people/*.opus"]
    text = text.replace('noises = ["synthetic:2"]', f"noises = {talking}")
    recipe = parse_recipe("seed = 1\n" + text + STAGES, Path("recipe.toml"))
    left = without_missing_recordings(recipe, QuietTeller()).data
    assert (left.recorded, left.noises, left.rooms) == ([], talking[:2], ["synthetic:2"])


TRAINING_ON = """
[training]
minutes = 1.0
batches = 6
steps_per_batch = 300
learning_rate = 2e-3
warmup_batches = 2
ctc_share = 0.0
ctc_weight = 0.0
context_dropout = 1.0

[branches]
minutes = 1.0
batches = 6
steps_per_batch = 300
learning_rate = 1e-3
warmup_batches = 2
teacher_weight = 1.0
context_dropout = 1.0
"""


def test_a_base_is_trained_on_in_float_and_teaches_its_branches(folder):
    (folder / "on").mkdir()
    recipe = f'seed = 1\nbase = "{folder}"\n' + DATA.replace("@GRAMMARS@", f'"{folder / "lights.yaml"}" = 8')
    (folder / "on" / "recipe.toml").write_text(recipe + TRAINING_ON)
    assert main(["train", str(folder / "on" / "recipe.toml")]) == 0
    start, dense = (checkpoint.load(path / "dense.npz") for path in (folder, folder / "on"))
    assert np.abs(start.parameters["front.weight"] - dense.parameters["front.weight"]).max() > 1e-3
    assert not dense.grid.weight_scales
    branched = checkpoint.load(folder / "on" / "branched.npz")
    assert branched.topology.branching is not None and branched.grid.weight_scales
    table = branched.parameters["predictor.table"]
    np.testing.assert_array_equal(table, np.broadcast_to(table[:, :1], table.shape))

    # A deeper one becomes a second teacher.
    (folder / "deeper").mkdir()
    training = TRAINING_ON.partition("[branches]")[0] + "extra_blocks = [1]\nextra_dilation = 2\n"
    (folder / "deeper" / "recipe.toml").write_text(recipe + training)
    assert main(["train", str(folder / "deeper" / "recipe.toml")]) == 0
    deeper = checkpoint.load(folder / "deeper" / "dense.npz").topology
    assert [block.dilation for block in deeper.blocks] == [1, 1, 2]

    # Another network begins with that arbitrator, and its teachers hear the clean version of two noisy ones once.
    (folder / "third").mkdir()
    keeping = TRAINING_ON + f'arbitrator = "{folder / "on"}"\nkeep_arbitrator = true\n'
    keeping += f'teacher = ["", "{folder / "deeper"}"]\nteach_once = true\n'
    versions = recipe.replace("copies = 1", "copies = 1\nclean_beside = true\nnoisy_versions = 2")
    (folder / "third" / "recipe.toml").write_text(versions + keeping)
    assert main(["train", str(folder / "third" / "recipe.toml")]) == 0
    assert len(list((folder / "cache" / "said").glob("*.i16"))) == 1
    third = checkpoint.load(folder / "third" / "branched.npz").parameters
    for name in (name for name in third if name.startswith("arbitrator.")):
        np.testing.assert_array_equal(third[name], branched.parameters[name])


def test_priors_of_units_are_taken_out_of_the_exported_scores(folder):
    (folder / "prior").mkdir()
    text = (folder / "recipe.toml").read_text()
    (folder / "prior" / "recipe.toml").write_text(text.replace("seed = 1\n", "seed = 1\nlabel_prior = 0.5\n", 1))
    assert main(["train", str(folder / "prior" / "recipe.toml")]) == 0
    plain, other = ((folder / part / "model.tflite").read_bytes() for part in (".", "prior"))
    copy = run.prepare(read_recipe(folder / "recipe.toml"), QuietTeller()).copies[0]
    wanted = with_label_prior(plain, label_counts(copy), 0.5)
    assert _logit_bias(wanted) == _logit_bias(other) != _logit_bias(plain)


def _logit_bias(data):
    joint = next(part for part in read_model(data).subgraphs if part.name == "joint")
    return joint.tensors[joint.operators[-1].inputs[2]].array().tolist()


@pytest.mark.parametrize("share", ["1.5", "-0.1"])
def test_a_share_of_the_prior_is_a_share(folder, share):
    text = (folder / "recipe.toml").read_text().replace("seed = 1\n", f"seed = 1\nlabel_prior = {share}\n", 1)
    with pytest.raises(UserError, match=f"recipe.toml: label_prior is {re.escape(share)}; keep it from 0"):
        parse_recipe(text, folder / "recipe.toml")


def test_nothing_trained_is_nothing_to_export(folder):
    recipe = read_recipe(folder / "recipe.toml")
    job = run.Run(recipe, run.Prepared([], np.zeros(40), None), folder / "cache", QuietTeller())
    with pytest.raises(UserError, match="nothing is trained yet"):
        job.export(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 1\nbase = 'x'\n[data]", r"missing .*'root'"),
        ("seed = 1\n" + DATA.replace("@GRAMMARS@", ""), r"\[model\] is missing"),
        (
            "seed = 1\nbase = 'x'\n" + DATA.replace("@GRAMMARS@", ""),
            r"\[compression\] is missing, or \[training\] or \[branches\]",
        ),
        *(
            ("seed = 1\nbase = 'x'\n" + DATA.replace("@GRAMMARS@", "").replace(was, becomes), message)
            for was, becomes, message in (
                ("copies = 1", "copies = 1\nnoises_at_once = 0", "keep noises_at_once from 1 to 8"),
                ("copies = 1", "copies = 1\nroom_share = 40", r"room_share is 40; keep it from 0 to 1"),
                ("copies = 1", "copies = 1\nlongest_silence_s = 60", "longest_silence_s from 1 to 10"),
                ('noises = ["synthetic:2"]', 'noises = ["babble:16"]', 'among the noises "babble:16:FOLDER'),
                ('noises = ["synthetic:2"]', 'noises = ["chatter:0:*.flac"]', 'among the noises "babble:16:FOLDER'),
                ('rooms = ["synthetic:2"]', 'rooms = ["babble:2:*.flac"]', "for a noise or a room.*among the noises"),
                ('rooms = ["synthetic:2"]', 'rooms = ["synthetic:"]', "has 'synthetic:' for a noise or a room"),
                (
                    'noises = ["synthetic:2"]',
                    'noises = ["chatter:2:spoken:command"]',
                    r"'chatter:2:spoken:command' for a noise, and nobody of that name.*synthetic\]\]: 'commands'",
                ),
            )
        ),
        (
            "seed = 1\nbase = 'x'\n"
            + (DATA + TRAINING_ON).replace("@GRAMMARS@", "").replace("weight = 0.0", "weight = 0.3"),
            r"\[training\] from a base has no CTC head.*ctc_share = 0.0 and",
        ),
        (
            "seed = 1\n" + (DATA + STAGES).replace("@GRAMMARS@", "") + "extra_blocks = [0]\n",
            "extra_blocks deepen a base",
        ),
        (
            "seed = 1\nbase = 'x'\n"
            + (DATA + TRAINING_ON).replace("@GRAMMARS@", "").replace("weight = 1.0", "weight = 0.0")
            + "teach_once = true\n",
            "teach_once without a teacher",
        ),
        (
            "seed = 1\n" + (DATA + TRAINING_ON).replace("@GRAMMARS@", "") + "mmi_margin = -1.0\n",
            r"r\.toml: mmi_margin is -1\.0",
        ),
        (
            "seed = 1\n" + (DATA + TRAINING_ON).replace("@GRAMMARS@", "") + "mmi_margin = 'five'\n",
            r"r\.toml: mmi_margin in \[branches\] is 'five'; write a number",
        ),
        ("seed = 1.5\n" + DATA.replace("@GRAMMARS@", ""), r"seed in \[recipe\] is 1\.5; write a whole number"),
        ("seed = true\n" + DATA.replace("@GRAMMARS@", ""), r"seed in \[recipe\] is True; write a whole number"),
        ("seed = 1\nbase = 2\n" + DATA.replace("@GRAMMARS@", ""), r"base in \[recipe\] is 2; write a text in quotes"),
        ("sead = 1", r"unknown key 'sead' in \[recipe\]; did you mean 'seed'"),
        ("seed = ", "not a TOML file"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(text, message, tmp_path):
    with pytest.raises(UserError, match=message):
        parse_recipe(text, tmp_path / "r.toml")


def test_every_kind_of_noise_is_heard_as_often_as_the_others(tmp_path):
    """400 clips in one folder shall not crowd out the one recording of dishes beside it."""
    (tmp_path / "clips").mkdir()
    for number in range(12):
        soundfile.write(tmp_path / "clips" / f"{number}.flac", np.full(800, 0.1 + 0.01 * number), 16000)
    soundfile.write(tmp_path / "dishes.flac", np.full(800, 0.9), 16000)
    noises = ("dishes.flac", "clips/*.flac", "synthetic:3", "babble:2:clips/*.flac", "dishes.flac", "none/*.flac")
    noises += ("chatter:3:clips/*.flac",)
    around = surroundings(str(tmp_path), noises, ("synthetic:2",))
    assert list(around.kinds) == [1, 12, 3, 2, 1, 3] and len(around.noises) == 22 and len(around.rooms) == 2
    rng = np.random.default_rng(1)
    drawn = [around.draw_noise(rng) for _ in range(2000)]
    is_dishes = [noise.size == 800 and noise[0] > 0.5 for noise in drawn]
    is_clip = [noise.size == 800 and noise[0] < 0.5 for noise in drawn]
    assert np.mean(is_dishes) == pytest.approx(2 / 6, abs=0.04) and np.mean(is_clip) == pytest.approx(1 / 6, abs=0.04)
    with pytest.raises(UserError, match=r"no recording matches none/\*\.flac, nothing\.flac; check the recipe"):
        surroundings(str(tmp_path), ("none/*.flac", "babble:2:nothing.flac"), ())


def test_the_recipes_own_voices_talk_at_the_next_table(folder):
    recipe = read_recipe(folder / "recipe.toml")
    data = replace(recipe.data, noises=["synthetic:2", "chatter:3:spoken:commands", "babble:2:spoken:commands"])
    root, noises, rooms = places_of(data)
    packs = training_packs(recipe, Lexicon())
    assert noises == ("synthetic:2", *(f"{kind}:packs:{packs[0].folder}" for kind in ("chatter:3", "babble:2")))
    around = surroundings(root, noises, rooms)
    assert list(around.kinds) == [2, 3, 2]
    talk = around.noises[2]
    assert talk.shape == (640000,) and 0.001 < np.abs(talk).max() < 1.0
    # What is cached is called after who speaks, not after where the cache lies.
    prior = checkpoint.load(folder / "dense.npz").prior
    heard = feature_set(packs, data, 1, prior, Lexicon())
    usual = feature_set(packs, recipe.data, 1, prior, Lexicon())
    in_rooms = feature_set(packs, replace(recipe.data, room_share=1.0), 1, prior, Lexicon())
    assert not np.array_equal(in_rooms.features, usual.features)
    assert heard.features.shape == usual.features.shape and not np.array_equal(heard.features, usual.features)


def test_adapting_names_what_is_missing(folder, tmp_path, capsys):
    assert main(["adapt", str(tmp_path / "none.yaml")]) == 2
    assert re.search(r"none\.yaml.*", capsys.readouterr().err)
    assert main(["adapt", str(folder / "lights.yaml"), "--template", str(tmp_path / "t.toml")]) == 2
    assert "name a template with --template" in capsys.readouterr().err


def test_every_missing_synthesiser_is_named_before_the_work(folder, tmp_path, monkeypatch, capsys):
    recipe = (folder / "recipe.toml").read_text().replace("{ hibari = 12 }", "{ hibari = 12, flite = 1, festival = 1 }")
    (tmp_path / "recipe.toml").write_text(recipe)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["train", str(tmp_path / "recipe.toml")]) == 2
    error = capsys.readouterr().err
    assert (
        "synthesisers are not installed: flite, festival; run: apt-get install flite; apt-get install festival" in error
    )
