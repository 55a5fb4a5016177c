"""Every kind of agent keeps the contract of ``dreamenv.testing``."""

import numpy as np
import pytest
import stable_baselines3
from gymnasium.vector import AutoresetMode

import dreamenv
from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.actor_critic.train import train_actor_critic
from dreamenv.agents.linear import save_linear
from dreamenv.agents.planner import save_planner
from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.agents.sb3 import ALGORITHMS, as_vec_env
from dreamenv.agents.vote import VotingAgent, save_vote
from dreamenv.testing import PolicyContract
from dreamenv.world import seen_by

DISCRETE, BOX = ("A2C", "PPO", "DQN"), ("DDPG", "SAC", "TD3", "PPO")


def linear(world, hidden=None):
    action, generator = world.config.action, np.random.default_rng(0)
    width = world.feature_size if hidden is None else len(hidden[0])
    weight = generator.normal(size=(action.size, width)).astype(np.float32)
    return dreamenv.LinearAgent(weight, np.zeros(action.size, np.float32), action, hidden=hidden)


def sb3(name, world, folder, action_repeat=1):
    env = dreamenv.DreamVectorEnv(world, 2, autoreset_mode=AutoresetMode.SAME_STEP)
    model = getattr(stable_baselines3, name)("MlpPolicy", as_vec_env(env), policy_kwargs={"net_arch": [8]}, seed=0)
    return dreamenv.save_sb3(model, folder, world, action_repeat)


def make(kind, world, folder):
    """An agent of a kind, as it is loaded again."""
    if kind == "linear":
        save_linear(linear(world), folder, world)
    elif kind == "linear, hidden layer":
        layer = np.random.default_rng(1).normal(size=(5, world.feature_size)).astype(np.float32)
        save_linear(linear(world, (layer, np.zeros(5, np.float32))), folder, world)
    elif kind == "planner":
        save_planner(folder, world, PlannerConfig(horizon=3, iterations=2, candidates=20, elites=4))
    elif kind == "vote":
        members = [sb3("PPO", world, folder / str(seed)) for seed in range(2)]
        save_vote(VotingAgent(members), folder)
    elif kind == "actor-critic":
        train_actor_critic(world, folder, ActorCriticConfig(updates=2, num_envs=4, horizon=2, net_arch=(8,)))
    else:
        name, _, held = kind.partition(", ")
        sb3(name, world, folder, 4 if held else 1)
    return dreamenv.load_agent(folder)


KINDS = {
    **{
        kind: "dot_world"
        for kind in ("linear", "linear, hidden layer", "actor-critic", "planner", "vote", "PPO, held", *DISCRETE)
    },
    **{f"{name} on a Box": "continuous_world" for name in ("linear", "actor-critic", "planner", *BOX)},
}


def test_every_algorithm_is_here():
    assert set(ALGORITHMS) == {*DISCRETE, *BOX}


@pytest.mark.parametrize("kind", KINDS)
class TestPolicies(PolicyContract):
    @pytest.fixture(autouse=True)
    def _kind(self, kind, request, tmp_path):
        world = request.getfixturevalue(KINDS[kind])
        agent = make(kind.removesuffix(" on a Box"), world, tmp_path)
        self._pair = agent, seen_by(world, agent)

    def make_policy(self):
        return self._pair
