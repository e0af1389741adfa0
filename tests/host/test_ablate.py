"""Ablations: rows from their file, what is kept, table and picture."""

from dataclasses import replace
from pathlib import Path

import pytest
from stapes_tools.errors import UserError
from stapes_tools.models import REPO
from stapes_tools.train import ablate, ablation_report
from stapes_tools.train.ablation_report import Row
from stapes_tools.train.recipe import read_recipe

SHIPPED = Path("models") / "coffee" / "ablations.toml"
BRANCHES = SHIPPED.with_name("branch_ablations.toml")
RECIPE = f'recipe = "{REPO / "models" / "coffee" / "more_commands.toml"}"\n'
ALL = Row("all methods", 0.925, 0.966, 0.866, 0.71, 389_744, 2600)
DENSE = Row("no zeros", 0.93, None, None, 0.02, 389_744, 2650)


def test_every_shipped_row_differs_from_the_first_in_what_it_is_called_after(monkeypatch):
    monkeypatch.chdir(REPO)
    rows = dict(ablate.rows_of(SHIPPED))
    every = rows.pop("all methods").compression
    assert rows["no zeros"].compression.zeros == 0.0 < every.zeros
    assert rows["8-bit weights"].compression.weight_bits == 8 != every.weight_bits
    assert all(recipe.compression != every for recipe in rows.values())
    assert all(recipe.compression.batches == every.batches for recipe in rows.values())


def test_rows_of_the_last_stage_change_branches_and_speech(monkeypatch):
    monkeypatch.chdir(REPO)
    rows = dict(ablate.rows_of(BRANCHES))
    every = rows.pop("all methods")
    assert rows["without the discriminative loss (MMI)"].branches == replace(every.branches, mmi_weight=0.0)
    assert rows["the teacher hears no noise (clean_beside)"].data == replace(every.data, clean_beside=True)
    names = [
        [entry.name for entry in recipe.data.synthetic] for recipe in (every, rows["without kokoro-js's speakers"])
    ]
    assert [name for name in names[0] if name != "speakers"] == names[1] != names[0]
    company = rows["without company (chatter)"].data.noises
    assert set(every.data.noises) - set(company) == {"chatter:80:librispeech_251/audio/*.opus"}
    for recipe in rows.values():
        assert recipe != every and recipe.branches.batches == every.branches.batches and recipe.data.copies == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RECIPE + '[[row]]\nname = "a"\ndata = { copy = 2 }\n', "unknown key 'copy'.*did you mean 'copies'"),
        (RECIPE + '[[row]]\nname = "a"\nwithout = ["command"]\n', "unknown synthetic entry 'command'.*'commands'"),
        ('recipe = "models/coffee/float.toml"\n[[row]]\nname = "a"\n', "no such recipe"),
        (RECIPE + '[[row]]\nname = "a"\nzeroes = 0.5\n', "unknown key 'zeroes'.*did you mean 'zeros'"),
        (RECIPE, "not a file of ablations: 'row'"),
        ("recipe = [", "not a file of ablations"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, text, says):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UserError, match=says):
        list(ablate.rows_of(tmp_path / "a.toml"))


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        list(ablate.rows_of(tmp_path / "a.toml"))


def test_rows_are_kept_in_the_files_order_and_replaced(tmp_path):
    order = ["all methods", "no zeros"]
    ablate.keep(tmp_path, DENSE, order)
    ablate.keep(tmp_path, ALL, order)
    ablate.keep(tmp_path, Row("no zeros", 0.5, None, None, 0.02, 1000, 7), order)
    rows = ablate.results(tmp_path)
    assert [row.name for row in rows] == order and rows[0] == ALL and rows[1].batches == 7
    assert (tmp_path / "ablations.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "ablations.md").read_text().splitlines()[-1] == "| no zeros | 50.0 |  |  | 2.0 | 1,000 | 7 |"


def test_rows_that_the_file_no_longer_names_stay_among_the_results(tmp_path):
    ablate.keep(tmp_path, ALL, [ALL.name])
    ablate.keep(tmp_path, DENSE, [DENSE.name])
    assert ablate.results(tmp_path) == [DENSE, ALL]
    assert ALL.name not in (tmp_path / "ablations.md").read_text()
    ablate.keep(tmp_path, DENSE, [ALL.name, DENSE.name])
    assert ablate.results(tmp_path) == [ALL, DENSE]
    assert ALL.name in (tmp_path / "ablations.md").read_text()


def test_the_table_names_every_column():
    lines = ablation_report.table([ALL]).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|") == 8
    assert lines[2] == "| all methods | 92.5 | 96.6 | 86.6 | 71.0 | 389,744 | 2,600 |"


def test_a_recipe_without_such_a_stage_is_refused(monkeypatch):
    monkeypatch.chdir(REPO)
    recipe = replace(read_recipe(Path("models/general/recipe.toml")), compression=None)
    with pytest.raises(UserError, match="an ablation needs"):
        ablate.changed(recipe, {}, SHIPPED)
