"""A world model that a user wrote and registered: it keeps the contracts, and the whole chain works for it."""

import re

import pytest

import dreamenv
from dreamenv.foundation.errors import BundleError
from dreamenv.models import registry
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


def test_a_world_of_a_kind_that_is_not_registered_is_refused(grid, monkeypatch):
    monkeypatch.setattr(registry, "_KINDS", {"mdnrnn": registry.model_kind("mdnrnn")})
    with pytest.raises(BundleError, match="expected a kind of world model among mdnrnn, got 'table'.*import"):
        dreamenv.load(grid.path)
