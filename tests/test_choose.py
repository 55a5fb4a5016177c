"""Choosing among agents by their scores in reality."""

import json
import shutil
import sys

import numpy as np
import pytest

from dreamenv import LinearAgent, choose, load_agent
from dreamenv.agents.linear import save_linear
from dreamenv.agents.store import find_agent
from dreamenv.bundle import copy_bundle
from dreamenv.cli.run import main
from dreamenv.evaluate.choose import ChooseConfig
from dreamenv.foundation.errors import BundleError

FEW = ChooseConfig(episodes=20)


@pytest.fixture
def agents(dot_world, dot_agent_folder):
    stays = LinearAgent(np.zeros((3, 40)), np.array([0.0, 0.0, 1.0]), dot_world.config.action)
    return {"stays": stays, "evolved": load_agent(dot_agent_folder)}


def test_agents_come_best_first_with_scores_on_validation_seeds(dot_world, agents):
    scores = choose(dot_world, agents, FEW)
    assert list(scores) == ["evolved", "stays"]
    assert scores["stays"].mean == 0.0 < scores["evolved"].mean
    assert {(score.place, score.seeds) for score in scores.values()} == {("real", (80_000, 80_019))}


def test_agents_act_greedily(dot_world):
    hesitant = LinearAgent(np.zeros((3, 40)), np.array([0.0, 0.0, 0.01]), dot_world.config.action)
    assert set(choose(dot_world, {"hesitant": hesitant}, FEW)["hesitant"].lengths) == {20}


@pytest.mark.parametrize("episodes", [0, -1])
def test_nothing_to_play_is_refused(dot_world, agents, episodes):
    with pytest.raises(ValueError, match="expected episodes of at least 1"):
        choose(dot_world, agents, ChooseConfig(episodes=episodes))
    with pytest.raises(ValueError, match="at least one agent to choose, got none"):
        choose(dot_world, {})


def test_an_agent_that_does_not_fit_is_refused_before_anybody_plays(dot_world, agents, monkeypatch):
    monkeypatch.setattr(sys.modules["dreamenv.evaluate.choose"], "score", None)
    foreign = {**agents, "foreign": load_agent("sidewalk/linear")}
    with pytest.raises(ValueError, match="expected an agent for 40 features"):
        choose(dot_world, foreign, FEW)


def test_shipped_agents_are_found_by_name():
    assert (find_agent("sidewalk/linear") / "agent.safetensors").is_file()


def test_the_command_keeps_the_best(dot_world, dot_folder, agents, dot_agent_folder, tmp_path, capsys):
    save_linear(agents["stays"], tmp_path / "stays", dot_world)
    candidates = [str(tmp_path / "stays"), str(dot_agent_folder)]
    command = ["choose", "--world", str(dot_folder), "--agents", *candidates, "--keep", str(tmp_path / "kept")]
    assert main([*command, "--episodes", "20"]) == 0
    kept = load_agent(tmp_path / "kept")
    assert np.array_equal(kept.weight, agents["evolved"].weight)
    assert list(json.loads((tmp_path / "kept" / "choice.json").read_text())) == candidates[::-1]
    assert f"{dot_agent_folder} copied to {tmp_path / 'kept'}" in capsys.readouterr().out


def test_a_damaged_bundle_is_not_copied(dot_agent_folder, tmp_path):
    shutil.copytree(dot_agent_folder, tmp_path / "damaged")
    with (tmp_path / "damaged" / "agent.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match="agent.safetensors is damaged"):
        copy_bundle(tmp_path / "damaged", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
