"""`stapes demo`: with real orders at hand, and without."""

import shutil

import pytest
from stapes_tools.cli import demo
from stapes_tools.cli.main import main


@pytest.mark.unix
def test_the_demo_plays_a_sample_where_there_are_no_orders(capfd, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "_ORDERS", tmp_path / "none")
    monkeypatch.setattr(demo, "_SPEED", 100.0)
    assert main(["demo"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "models/samples/coffee_" in out
    assert "lattice" in out
    assert "What to try next" in out


def test_real_orders_come_first(monkeypatch, tmp_path):
    shutil.copy(sorted(demo._SAMPLES.glob("*.flac"))[0], tmp_path / "order.flac")
    (tmp_path / "coffee_maker.yaml").write_text("context: {}\n")
    monkeypatch.setattr(demo, "_ORDERS", tmp_path)
    assert demo.choose() == (tmp_path / "order.flac", tmp_path / "coffee_maker.yaml")
    assert demo.choose(at_random=True) == (tmp_path / "order.flac", tmp_path / "coffee_maker.yaml")


def test_nothing_to_play_is_said(capfd, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "_ORDERS", tmp_path)
    monkeypatch.setattr(demo, "_SAMPLES", tmp_path)
    assert main(["demo"]) == 2
    assert "there are no recordings" in capfd.readouterr().err
