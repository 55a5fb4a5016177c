"""Stable-Baselines3: batches of dreams as its environments, and agents without pickle."""

import copy
import dataclasses
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
import sb3_contrib
import stable_baselines3 as sb3
import torch
from acting import greedy, observations_of
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

import dreamenv
from dreamenv import DreamVectorEnv, PPOConfig, as_vec_env, load_agent, save_sb3
from dreamenv.agents.sb3 import read_sb3
from dreamenv.agents.store import AgentConfig
from dreamenv.envs.shaping import VectorActionPenalty
from dreamenv.foundation.errors import BundleError
from dreamenv.foundation.manifest import read_files, write_files
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.world import showing

SMALL = {"net_arch": [16]}


@pytest.fixture
def dreams(dot_world):
    return DreamVectorEnv(dot_world, 4, autoreset_mode=AutoresetMode.SAME_STEP)


@pytest.fixture
def twin(dot_world):
    return DreamVectorEnv(dot_world, 4, autoreset_mode=AutoresetMode.SAME_STEP)


def vec_env_of(world, num_envs=4):
    return as_vec_env(DreamVectorEnv(world, num_envs, autoreset_mode=AutoresetMode.SAME_STEP))


def test_steps_are_those_of_the_vector_environment(dreams, twin, random_actions):
    env, ends, limits = as_vec_env(dreams), 0, 0
    seeds = env.seed(3)
    assert np.array_equal(env.reset(), twin.reset(seed=seeds)[0])
    for action in random_actions(twin.action_space, 120, seed=6):
        action = np.where(np.arange(4) < 2, 2, action)
        observation, reward, done, infos = env.step(action)
        expected = twin.step(action)
        assert np.array_equal(observation, expected[0])
        assert np.allclose(reward, expected[1])
        assert reward.dtype == np.float32
        assert np.array_equal(done, expected[2] | expected[3])
        for row, info in enumerate(infos):
            assert ("terminal_observation" in info) == done[row]
            if done[row]:
                assert np.array_equal(info["terminal_observation"], expected[4]["final_obs"][row])
                assert info["TimeLimit.truncated"] is bool(expected[3][row])
        ends, limits = ends + done.sum(), limits + expected[3].sum()
    assert ends > limits > 0


def test_episodes_of_held_actions_end_at_once_and_begin_with_a_decision(dot_world, random_actions):
    dreams, twin = (DreamVectorEnv(dot_world, 4, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    env, cut, steps = as_vec_env(dreams, action_repeat=3), 0, np.zeros(4, int)
    seeds = env.seed(3)
    assert np.array_equal(env.reset(), twin.reset(seed=seeds)[0])
    for action in random_actions(twin.action_space, 60, seed=6):
        observation, reward, done, infos = env.step(action)
        total, ended = np.zeros(4), np.zeros(4, bool)
        for repeat in range(3):
            if ended.all():
                break
            twin.leave(ended)
            expected = twin.step(action)
            total, steps = total + expected[1], steps + ~ended
            for row in np.flatnonzero(expected[2] | expected[3]):
                assert np.array_equal(infos[row]["terminal_observation"], expected[0][row])
                assert infos[row]["TimeLimit.truncated"] is bool(expected[3][row])
                cut += repeat < 2
            ended |= expected[2] | expected[3]
        steps[ended] = 0
        seen = twin.reset(options={"reset_mask": ended})[0] if ended.any() else expected[0]
        assert np.array_equal(observation, seen) and np.array_equal(done, ended)
        assert np.allclose(reward, total) and [not info for info in infos] == (~ended).tolist()
        assert not (steps % 3).any(), "a decision in the middle of a held action"
    assert cut > 0


def test_only_environments_that_wait_hold_actions(dot_world):
    with pytest.raises(ValueError, match="expected autoreset mode DISABLED, got AutoresetMode.SAME_STEP"):
        as_vec_env(DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.SAME_STEP), action_repeat=2)
    envs = SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ValueError, match=r"expected an environment with leave\(\)"):
        as_vec_env(envs, action_repeat=2)


def test_an_action_penalty_is_summed_over_a_held_action(dot_world):
    dreams = DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.DISABLED)
    env = as_vec_env(VectorActionPenalty(dreams, 0.5, discount=1.0), action_repeat=2)
    free = as_vec_env(DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.DISABLED), action_repeat=2)
    for one in (env, free):
        one.seed(1)
        one.reset()
    costly, plain = (one.step(np.zeros(2, int))[1] for one in (env, free))
    np.testing.assert_allclose(plain - costly, [1.0, 1.0], atol=1e-5)


@pytest.fixture
def gas_world(continuous_world):
    """A world whose action, from 0 to 3, is not on the scale of -1 to 1."""
    action = ActionSpec(low=(0.0,), high=(3.0,))
    config = dataclasses.replace(continuous_world.config, action=action, action_prior=(2.4,))
    return dreamenv.World(config, continuous_world.model, continuous_world.bank)


def test_actions_are_scaled_to_their_box(gas_world, tmp_path):
    dreams, twin = (DreamVectorEnv(gas_world, 3, autoreset_mode=AutoresetMode.SAME_STEP) for _ in range(2))
    env = as_vec_env(dreams, scale_actions=True)
    assert env.action_space == gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    seeds = env.seed(0)
    env.reset()
    twin.reset(seed=seeds)
    expected = twin.step(np.array([[0.0], [1.5], [3.0]], np.float32))
    assert np.array_equal(env.step(np.array([[-1.0], [0.0], [1.0]], np.float32))[0], expected[0])

    model = sb3.A2C("MlpPolicy", env, policy_kwargs=dict(SMALL), device="cpu")
    with torch.no_grad():
        model.policy.action_net.bias.fill_(0.5)
        model.policy.action_net.weight.zero_()
    with pytest.raises(ValueError, match="expected a model of observations and actions"):
        save_sb3(model, tmp_path, gas_world)
    saved = save_sb3(model, tmp_path, gas_world, scaled_actions=True)
    observation = observations_of(gas_world, 2)
    for agent in (saved, load_agent(tmp_path)):
        assert agent.predict(observation, deterministic=True)[0] == pytest.approx(2.25)


def test_discrete_actions_have_no_scale(dreams):
    with pytest.raises(ValueError, match=r"expected actions of a Box to scale, got Discrete\(3\)"):
        as_vec_env(dreams, scale_actions=True)


def test_spaces_and_number_are_those_of_the_vector_environment(dreams):
    env = as_vec_env(dreams)
    assert env.num_envs == 4
    assert env.observation_space == dreams.single_observation_space
    assert env.action_space == dreams.single_action_space


def test_a_seed_holds_for_one_reset(dreams, twin):
    env = as_vec_env(dreams)
    seeds = env.seed(3)
    first, second = env.reset(), env.reset()
    assert np.array_equal(first, twin.reset(seed=seeds)[0])
    assert np.array_equal(second, twin.reset()[0])


def test_reset_options_set_the_temperature_for_one_reset_call(dreams):
    env = as_vec_env(dreams)
    env.set_options({"temperature": 0.5})
    env.reset()
    assert dreams.step(np.zeros(4, int))[4]["temperature"].tolist() == [0.5] * 4


def test_options_that_differ_between_environments_are_refused(dreams):
    env = VecMonitor(as_vec_env(dreams))
    with pytest.raises(ValueError, match="expected the same options for all environments.*0.9"):
        env.set_options([{"temperature": 0.1}] * 3 + [{"temperature": 0.9}])
    env.set_options([{"temperature": 0.3} for _ in range(4)])
    env.reset()
    assert dreams.step(np.zeros(4, int))[4]["temperature"].tolist() == [0.3] * 4


def test_actions_that_are_scaled_beyond_a_bound_by_rounding_are_taken(continuous_world, tmp_path):
    config = dataclasses.replace(continuous_world.config, action=ActionSpec(low=(-3.0,), high=(0.2,)))
    world = dreamenv.World(config, continuous_world.model, continuous_world.bank)
    env = vec_env_of(world)
    model = sb3.SAC("MlpPolicy", env, learning_starts=0, policy_kwargs=dict(SMALL), device="cpu")
    with torch.no_grad():
        model.policy.actor.mu.bias.fill_(50.0)
    observation = env.reset()
    beyond, _ = model.predict(observation, deterministic=True)
    assert (beyond > world.config.action.space.high).all()
    env.step(beyond)
    agent = save_sb3(model, tmp_path, world)
    assert greedy(agent, observation).tolist() == [world.config.action.space.high.tolist()] * 4


def test_monitored_returns_and_lengths_add_up(dreams, twin, random_actions):
    env = VecMonitor(as_vec_env(dreams))
    seeds = env.seed(1)
    env.reset()
    twin.reset(seed=seeds)
    total, length, episodes = np.zeros(4), np.zeros(4, int), 0
    for action in random_actions(twin.action_space, 80, seed=7):
        *_, infos = env.step(action)
        _, reward, terminated, truncated, _ = twin.step(action)
        total, length = total + reward, length + 1
        for row in np.flatnonzero(terminated | truncated):
            assert infos[row]["episode"]["r"] == pytest.approx(total[row], abs=1e-5)
            assert infos[row]["episode"]["l"] == length[row]
            total[row], length[row], episodes = 0.0, 0, episodes + 1
    assert episodes > 10


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(dot_world, mode):
    with pytest.raises(ValueError, match=f"expected autoreset mode SAME_STEP, got {mode}"):
        as_vec_env(DreamVectorEnv(dot_world, 2, autoreset_mode=mode))


def test_any_gymnasium_vector_environment_will_do():
    envs = SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    model = sb3.PPO("MlpPolicy", as_vec_env(envs), n_steps=32, batch_size=32, n_epochs=1, device="cpu")
    model.learn(64)
    assert model.num_timesteps == 64


def test_pictures_and_attributes_reach_stable_baselines3(dot_world):
    env = as_vec_env(DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.SAME_STEP, render_mode="rgb_array"))
    env.reset()
    assert env.render().ndim == 3
    assert env.get_attr("render_mode") == ["rgb_array"] * 2
    assert env.get_attr("num_envs", indices=[1]) == [2]
    assert env.env_is_wrapped(gym.Wrapper) == [False, False]


def test_what_a_batch_has_not_is_said_so(dreams):
    env = as_vec_env(dreams)
    with pytest.raises(NotImplementedError, match="no attributes of single environments"):
        env.set_attr("temperature", 1.0)
    with pytest.raises(NotImplementedError, match="no single environments"):
        env.env_method("reset")


def test_ppo_trains_in_a_single_dream(dot_folder):
    env = gym.make("dreamenv:Dream-v0", world=str(dot_folder))
    model = sb3.PPO("MlpPolicy", env, n_steps=128, batch_size=64, n_epochs=1, seed=0, device="cpu")
    before = model.policy.action_net.weight.clone()
    model.learn(256)
    assert not torch.equal(model.policy.action_net.weight, before)
    assert len(model.ep_info_buffer) > 5


ALGORITHMS = {
    "PPO": ("dot_world", sb3.PPO, {"n_steps": 32, "batch_size": 64, "n_epochs": 1}),
    "A2C": ("dot_world", sb3.A2C, {"n_steps": 8}),
    "DQN": ("dot_world", sb3.DQN, {"learning_starts": 50, "batch_size": 32, "buffer_size": 1000}),
    "SAC": ("continuous_world", sb3.SAC, {"learning_starts": 50, "batch_size": 32, "buffer_size": 1000}),
    "TD3": ("continuous_world", sb3.TD3, {"learning_starts": 50, "batch_size": 32, "buffer_size": 1000}),
    "DDPG": ("continuous_world", sb3.DDPG, {"learning_starts": 50, "batch_size": 32, "buffer_size": 1000}),
    "PPO, continuous": ("continuous_world", sb3.PPO, {"n_steps": 32, "batch_size": 64, "n_epochs": 1}),
}


@pytest.mark.parametrize("policy_kwargs", [None, {"net_arch": [16]}, {"net_arch": []}], ids=str)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_trains_in_the_batch_and_its_agent_survives_its_files(
    request, tmp_path, monkeypatch, name, policy_kwargs
):
    fixture, kind, settings = ALGORITHMS[name]
    world = request.getfixturevalue(fixture)
    settings = {**settings, "policy_kwargs": copy.copy(policy_kwargs), "seed": 0, "device": "cpu"}
    model = kind("MlpPolicy", vec_env_of(world), **settings)
    before = {key: value.clone() for key, value in model.policy.state_dict().items()}
    model.learn(200)
    assert any(not torch.equal(value, before[key]) for key, value in model.policy.state_dict().items())

    saved = save_sb3(model, tmp_path, world)
    monkeypatch.setattr(torch, "load", None)
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(pickle, "loads", None)
    loaded = load_agent(tmp_path)
    observation = observations_of(world)
    expected = model.predict(observation, deterministic=True)[0]
    assert np.array_equal(greedy(saved, observation), expected)
    assert np.array_equal(greedy(loaded, observation), expected)
    assert np.allclose(greedy(loaded, observation[0]), expected[0], atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.safetensors", "config.json", "manifest.json"]


def test_an_agents_config_says_what_it_is_for(dot_world, tmp_path):
    model = sb3.PPO("MlpPolicy", vec_env_of(dot_world), device="cpu", policy_kwargs=dict(SMALL))
    save_sb3(model, tmp_path, dot_world)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["kind"] == "sb3"
    assert config["algorithm"] == "PPO"
    assert config["env_id"] == dot_world.config.env_id
    assert config["feature_size"] == 40
    assert len(config["world"]) == 64


@pytest.mark.parametrize(
    "policy_kwargs",
    [
        {"activation_fn": torch.nn.ReLU},
        {"net_arch": {"pi": [16], "vf": [8]}},
        {"net_arch": [16], "ortho_init": False, "log_std_init": -1.0},
    ],
    ids=str,
)
def test_policies_with_settings_that_files_do_not_keep_are_refused(dot_world, tmp_path, policy_kwargs):
    model = sb3.PPO("MlpPolicy", vec_env_of(dot_world), device="cpu", policy_kwargs=dict(policy_kwargs))
    with pytest.raises(ValueError, match="expected policy_kwargs with at most a list of widths as net_arch, got"):
        save_sb3(model, tmp_path, dot_world)
    assert not list(tmp_path.iterdir())


def test_state_dependent_exploration_is_refused_because_files_do_not_keep_it(continuous_world, tmp_path):
    model = sb3.PPO("MlpPolicy", vec_env_of(continuous_world), device="cpu", use_sde=True)
    with pytest.raises(ValueError, match="use_sde"):
        save_sb3(model, tmp_path, continuous_world)


def test_an_algorithm_that_could_not_be_loaded_is_not_saved(dot_world, tmp_path):
    model = sb3_contrib.TRPO("MlpPolicy", vec_env_of(dot_world), device="cpu", policy_kwargs=dict(SMALL))
    with pytest.raises(ValueError, match="A2C, DDPG, DQN, PPO, SAC, TD3.*TRPO"):
        save_sb3(model, tmp_path, dot_world)
    assert not list(tmp_path.iterdir())


def test_a_model_of_another_worlds_observations_or_actions_is_not_saved(dot_world, continuous_world, tmp_path):
    for other, came in ((showing(dot_world, ("z",)), r"\(8,\)"), (continuous_world, r"Box\(-1.0, 1.0")):
        model = sb3.PPO("MlpPolicy", vec_env_of(other), device="cpu", policy_kwargs=dict(SMALL))
        with pytest.raises(ValueError, match=rf"expected .*\(40,\), Discrete\(3\).*, got .*{came}"):
            save_sb3(model, tmp_path, dot_world)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "TRPO"}, "expected one of the algorithms A2C, DDPG, DQN, PPO, SAC, TD3, got 'TRPO'"),
        ({"net_arch": [8]}, "not the weights of a PPO policy"),
        ({"feature_size": 41}, "not the weights of a PPO policy"),
        ({"algorithm": "DQN"}, "not the weights of a DQN policy"),
        ({"kind": "linear"}, "not a linear agent"),
        ({"net_arch": [60_000, 60_000]}, "expected the weights of layers"),
        ({"net_arch": [0]}, "config.json cannot be read"),
        ({"kind": "pickle"}, "config.json cannot be read"),
    ],
    ids=str,
)
def test_an_agent_whose_config_lies_is_refused(dot_world, tmp_path, change, message):
    model = sb3.PPO("MlpPolicy", vec_env_of(dot_world), device="cpu", policy_kwargs=dict(SMALL))
    save_sb3(model, tmp_path, dot_world)
    contents = read_files(tmp_path, ())
    lying = json.dumps({**json.loads(contents["config.json"]), **change})
    (tmp_path / "config.json").write_text(lying)
    with pytest.raises(BundleError, match="config.json is damaged"):
        load_agent(tmp_path)
    write_files(tmp_path, contents | {"config.json": lying.encode()})
    with pytest.raises(BundleError, match=message):
        load_agent(tmp_path)


def test_a_single_observation_is_acted_on_with_and_without_a_state(dot_world, tmp_path):
    model = sb3.PPO("MlpPolicy", vec_env_of(dot_world), device="cpu", policy_kwargs=dict(SMALL))
    agent, (first, second) = save_sb3(model, tmp_path, dot_world, action_repeat=2), observations_of(dot_world, 2)
    action, state = agent.predict(first, deterministic=True)
    again, _ = agent.predict(second, state, deterministic=True)
    assert np.ndim(action) == 0 and again == action == greedy(agent, np.stack([first]))[0]


def test_a_hold_of_no_steps_is_refused(dot_world, tmp_path):
    with pytest.raises(ValueError, match="action_repeat of at least 1, got 0"):
        PPOConfig(action_repeat=0)
    model = sb3.PPO("MlpPolicy", vec_env_of(dot_world), device="cpu", policy_kwargs=dict(SMALL))
    with pytest.raises(ValueError, match="action_repeat of at least 1, got 0"):
        save_sb3(model, tmp_path, dot_world, action_repeat=0)
    assert not list(tmp_path.iterdir())


def test_closing_the_vec_env_closes_the_dreams(dot_world):
    dreams = DreamVectorEnv(dot_world, 2, autoreset_mode="SameStep")
    as_vec_env(dreams).close()
    assert dreams.closed


def test_a_model_of_scaled_observations_is_refused(dot_world, tmp_path):
    env = VecNormalize(as_vec_env(DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.SAME_STEP)))
    with pytest.raises(ValueError, match="VecNormalize with norm_obs=True"):
        save_sb3(sb3.PPO("MlpPolicy", env), tmp_path, dot_world)


@pytest.mark.parametrize(("algorithm", "stochastic"), [("PPO", True), ("DQN", False)])
def test_only_policies_that_draw_are_stochastic(dot_world, tmp_path, algorithm, stochastic):
    env = as_vec_env(DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.SAME_STEP))
    model = getattr(sb3, algorithm)("MlpPolicy", env)
    assert save_sb3(model, tmp_path, dot_world).stochastic is stochastic


def test_an_algorithm_that_does_not_know_such_actions_is_refused_by_name(continuous_world):
    config = AgentConfig("sb3", "x", "", 40, continuous_world.config.action, algorithm="DQN", net_arch=(4,))
    with pytest.raises(BundleError, match="DQN"):
        read_sb3(config, {"weight": torch.zeros(10_000)})
