"""A world model that a user wrote and registered: it keeps the contracts, and the whole chain works for it."""

import dataclasses
import json
import re

import pytest

import dreamenv
from dreamenv.foundation.errors import BundleError, ResumeError
from dreamenv.models import registry
from dreamenv.reports.inspect import inspect
from dreamenv.reports.results import InspectConfig
from dreamenv.reports.summary import report
from dreamenv.reports.tables import report_text
from dreamenv.testing import DreamContract, WorldContract


class TestTable(WorldContract):
    @pytest.fixture(autouse=True)
    def _grid(self, grid):
        self._world = grid

    def make_world(self):
        return self._world


class TestTableDream(DreamContract):
    @pytest.fixture(autouse=True)
    def _grid(self, grid):
        self._world = grid

    def make_world(self):
        return self._world


def test_the_example_goes_from_nothing_to_a_verdict(example, tmp_path, capsys):
    example.main(tmp_path)
    printed = capsys.readouterr().out
    assert re.search(r"agent, greedy +real +success 1\.00", printed)
    assert re.search(r"the dream promises 1\.00, the records leave [\d.]+: (green|amber|red|cannot tell)", printed)


def test_it_iterates(example, tmp_path):
    config = dreamenv.IterateConfig(
        600,
        1,
        100,
        target=2.0,
        agent="linear",
        episodes=2,
        train=example.TableTraining(branches=16),
        evolve=dreamenv.EvolveConfig(generations=1, population=4, episodes=2),
    )
    rounds = dreamenv.iterate("Grid-v0", tmp_path, config)

    assert [type(dreamenv.load(one.folder).model) for one in rounds] == [example.Table] * 2
    assert rounds[1].frames >= rounds[0].frames + 100
    assert [one.number for one in dreamenv.iterate("Grid-v0", tmp_path, config)] == [0, 1]
    with pytest.raises(ResumeError, match="another train"):
        dreamenv.iterate("Grid-v0", tmp_path, dataclasses.replace(config, train=dreamenv.TrainConfig()))


def test_it_has_a_page_and_a_report(grid, tmp_path):
    """It decodes without errors, so the errors after one step have no ratio."""
    store = dreamenv.EpisodeStore(grid.path / "episodes")
    result = inspect(grid, store, tmp_path, InspectConfig(held_out=10, open_loop_episodes=3, frames=50))
    text = (tmp_path / "inspection.html").read_text()
    assert (result.kind, result.vision, result.memory, result.samples, result.rssm) == ("table", *[None] * 4)
    assert "kind table" in text and "they describe the training batches of V and M" in text
    assert re.findall(r'<section id="(\w+)">', text) == ["prediction", "heads", "agents"]
    written = json.loads((tmp_path / "inspection.json").read_text())["prediction"]["one_step"]
    assert (written["posterior_error"], written["ratio"]) == (0.0, None) and written["prior_error"] > 0.0
    assert "ratio -;" in report_text(report(grid, store, tmp_path / "report"))


def test_a_world_of_a_kind_that_is_not_registered_is_refused(grid, monkeypatch):
    monkeypatch.setattr(registry, "_KINDS", {"mdnrnn": registry.model_kind("mdnrnn")})
    with pytest.raises(BundleError, match="expected a kind of world model among mdnrnn, got 'table'.*import"):
        dreamenv.load(grid.path)
