"""A planner and an actor-critic, in a world of V and M and in an RSSM, by the commands that take agents."""

import json
import math

import pytest
from dot_settings import dot_rssm

import dreamenv
from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.actor_critic.train import train_actor_critic
from dreamenv.agents.planner import save_planner
from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.agents.registry import kind_of_settings
from dreamenv.cli.run import main

MAKE = {
    "planner": lambda world, folder: save_planner(
        folder, world, PlannerConfig(horizon=3, iterations=2, candidates=8, elites=2)
    ),
    "actor-critic": lambda world, folder: train_actor_critic(
        world, folder, ActorCriticConfig(updates=2, num_envs=4, horizon=3, net_arch=(8,))
    ),
}
FEW = "--episodes 2 --num-envs 2"
COMMANDS = {
    "choose": ("--agents {agent} --keep {out} " + FEW, "choice.json"),
    "compare": ("--agent {agent} --out {out} --temperatures 1 " + FEW, "comparison.json"),
    "horizon": ("--agent {agent} --out {out} --every 1 3 --horizons 2 " + FEW, "horizon.json"),
    "trust": ("--agent {agent} --out {out} --episodes {episodes} --dreams 3 --real-episodes 2", "trust.json"),
}


@pytest.fixture(scope="module", params=["V and M", "RSSM"])
def world(request, dot_world, dot_folder, tmp_path_factory):
    if request.param == "V and M":
        return dot_world
    return dreamenv.train(tmp_path_factory.mktemp("rssm"), dot_rssm("gaussian"), episodes=dot_folder / "episodes")


@pytest.fixture(scope="module", params=MAKE)
def agent(request, world, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    MAKE[request.param](world, folder)
    return folder


@pytest.mark.parametrize("name", MAKE)
def test_iterate_makes_it_by_its_name(name):
    assert kind_of_settings(dreamenv.IterateConfig(agent=name).agent_settings).name == name


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_take_it(world, agent, dot_folder, tmp_path, capsys, command):
    options, record = COMMANDS[command]
    words = options.format(agent=agent, out=tmp_path / "out", episodes=dot_folder / "episodes").split()
    assert main([command, "--world", str(world.path), *words]) == 0, capsys.readouterr().err
    found = json.loads((tmp_path / "out" / record).read_text())
    if command == "trust":
        assert all(math.isfinite(sign["value"]) for sign in found["signs"])
