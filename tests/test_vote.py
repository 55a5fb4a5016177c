"""Several trainings that act as one agent."""

import json

import numpy as np
import pytest
import safetensors.torch
import stable_baselines3
import torch

import dreamenv
from dreamenv import DreamEnv, choose, load_agent, save_sb3
from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.actor_critic.train import train_actor_critic
from dreamenv.agents.planner import save_planner
from dreamenv.agents.sb3 import SB3Agent
from dreamenv.agents.vote import VotingAgent, save_vote
from dreamenv.cli.run import main
from dreamenv.evaluate.choose import ChooseConfig
from dreamenv.foundation.errors import BundleError, SettingsError
from dreamenv.foundation.manifest import read_files, write_files

TINY = ActorCriticConfig(updates=1, num_envs=4, horizon=2, net_arch=(8,))
OBSERVATIONS = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)


def make_member(world, folder, seed, kind="PPO", width=8, action_repeat=1):
    settings = {"n_steps": 8, "batch_size": 8} if kind == "PPO" else {}
    algorithm = getattr(stable_baselines3, kind)
    model = algorithm("MlpPolicy", DreamEnv(world), seed=seed, policy_kwargs={"net_arch": [width]}, **settings)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.mul_(3.0)
    return save_sb3(model, folder, world, action_repeat)


@pytest.fixture(scope="module")
def members(dot_world, tmp_path_factory):
    return [make_member(dot_world, tmp_path_factory.mktemp("member"), seed) for seed in range(3)]


def chances(agent):
    return agent.policy.get_distribution(torch.from_numpy(OBSERVATIONS)).distribution.probs.detach()


def test_the_mean_probability_decides(members):
    mean = torch.stack([chances(member) for member in members]).mean(0)
    actions, _ = VotingAgent(members).predict(OBSERVATIONS, deterministic=True)

    assert actions.tolist() == mean.argmax(1).tolist()
    assert any((actions != member.predict(OBSERVATIONS, deterministic=True)[0]).any() for member in members)


def test_draws_follow_the_mean_probability(members):
    agent = VotingAgent(members)
    mean = torch.stack([chances(member) for member in members]).mean(0)[0]
    torch.manual_seed(0)
    actions, _ = agent.predict(OBSERVATIONS[:1].repeat(5000, 0))

    shares = np.bincount(actions, minlength=3) / 5000
    np.testing.assert_allclose(shares, mean.numpy(), atol=0.03)


def test_one_observation_gives_one_action(members):
    agent = VotingAgent(members)
    action, _ = agent.predict(OBSERVATIONS[3], deterministic=True)

    assert np.ndim(action) == 0
    assert action == agent.predict(OBSERVATIONS, deterministic=True)[0][3]


def test_a_vote_of_one_is_its_member(members):
    alone, _ = VotingAgent(members[:1]).predict(OBSERVATIONS, deterministic=True)

    assert alone.tolist() == members[0].predict(OBSERVATIONS, deterministic=True)[0].tolist()


def test_a_vote_holds_its_actions_as_its_members_do(dot_world, tmp_path):
    held = VotingAgent([make_member(dot_world, tmp_path / str(seed), seed, action_repeat=2) for seed in range(3)])
    decided = held.predict(OBSERVATIONS, deterministic=True)[0]
    state, acted = None, []
    for observation in OBSERVATIONS:
        action, state = held.predict(observation[None], state, deterministic=True)
        acted += action.tolist()

    assert acted == np.repeat(decided[::2], 2).tolist() != decided.tolist()


def test_a_stored_vote_acts_as_before_and_plays_in_reality(dot_world, members, tmp_path):
    agent = VotingAgent(members)
    save_vote(agent, tmp_path)
    loaded = load_agent(tmp_path)

    assert isinstance(loaded, VotingAgent)
    assert len(loaded.members) == 3
    assert all(isinstance(member, SB3Agent) for member in loaded.members)
    actions = [voter.predict(OBSERVATIONS, deterministic=True)[0].tolist() for voter in (agent, loaded)]
    assert actions[0] == actions[1]
    assert choose(dot_world, {"vote": loaded}, ChooseConfig(episodes=4))["vote"].lengths


@pytest.mark.parametrize(
    ("kind", "width", "action_repeat"),
    [("PPO", 16, 1), ("A2C", 8, 1), ("PPO", 8, 2)],
    ids=["network", "algorithm", "hold"],
)
def test_unlike_agents_do_not_vote(dot_world, members, tmp_path, kind, width, action_repeat):
    with pytest.raises(ValueError, match="expected agents of one world, algorithm and network, got 2 kinds"):
        VotingAgent([*members, make_member(dot_world, tmp_path, 0, kind, width, action_repeat)])


def test_nobody_is_no_vote():
    with pytest.raises(ValueError, match="got 0 kinds"):
        VotingAgent([])


WITHOUT_PROBABILITIES = {
    r"DQN with actions Discrete\(3\)": lambda dot, box, folder: make_member(dot, folder, 0, "DQN"),
    "PPO with actions Box": lambda dot, box, folder: make_member(box, folder, 0),
    "actor-critic with actions Box": lambda dot, box, folder: train_actor_critic(box, folder, TINY),
    "a Planner": lambda dot, box, folder: save_planner(folder, dot),
    "a LinearAgent": lambda dot, box, folder: dreamenv.LinearAgent(np.zeros((3, 40)), np.zeros(3), dot.config.action),
}


@pytest.mark.parametrize("got", WITHOUT_PROBABILITIES)
def test_agents_without_probabilities_do_not_vote(dot_world, continuous_world, members, tmp_path, got):
    other = WITHOUT_PROBABILITIES[got](dot_world, continuous_world, tmp_path)
    for voters in ([other], [*members, other]):
        with pytest.raises(SettingsError, match=f"probabilities of discrete actions, whose mean .*, got {got}"):
            VotingAgent(voters)


@pytest.mark.parametrize("members", [2, 4, -1, 10**12])
def test_a_wrong_number_of_members_is_refused(dot_world, tmp_path, members):
    save_vote(VotingAgent([make_member(dot_world, tmp_path / str(seed), seed) for seed in range(3)]), tmp_path)
    contents = read_files(tmp_path, ())
    config = json.loads(contents["config.json"]) | {"members": members}
    write_files(tmp_path, contents | {"config.json": json.dumps(config).encode()})

    with pytest.raises(BundleError, match="members"):
        load_agent(tmp_path)


def test_the_command_makes_one_agent_of_several(dot_world, tmp_path, capsys):
    folders = [str(tmp_path / str(seed)) for seed in range(2)]
    for seed, folder in enumerate(folders):
        make_member(dot_world, folder, seed)

    assert main(["vote", "--members", *folders, "--agent", str(tmp_path / "vote")]) == 0
    assert "2 agents vote" in capsys.readouterr().out
    assert len(load_agent(tmp_path / "vote").members) == 2


def test_the_command_refuses_a_linear_agent(dot_agent_folder, tmp_path, capsys):
    assert main(["vote", "--members", str(dot_agent_folder), "--agent", str(tmp_path / "vote")]) == 2
    assert "got a LinearAgent" in capsys.readouterr().err
    assert not (tmp_path / "vote").exists()


def test_a_member_with_other_weights_is_refused(dot_world, tmp_path):
    save_vote(VotingAgent([make_member(dot_world, tmp_path / str(seed), seed) for seed in range(2)]), tmp_path)
    contents = read_files(tmp_path, ())
    tensors = safetensors.torch.load(contents["agent.safetensors"])
    tensors["1.action_net.bias"] = torch.zeros(7)
    write_files(tmp_path, contents | {"agent.safetensors": safetensors.torch.save(tensors)})

    with pytest.raises(BundleError, match="(?s)not a voting agent: .*action_net.bias"):
        load_agent(tmp_path)
