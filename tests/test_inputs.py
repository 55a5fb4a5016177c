"""What agents see of a state: other observations than [z, h], and controllers with a hidden layer."""

import dataclasses

import numpy as np
import pytest
import torch
from dot_settings import DOT_EVOLVE
from gymnasium.vector import AutoresetMode

import dreamenv
from dreamenv import DreamVectorEnv, LinearAgent
from dreamenv.agents.evolve import Population, initial_parameters
from dreamenv.agents.linear import unpack
from dreamenv.engine.packed import compiled
from dreamenv.engine.placement import on_device
from dreamenv.evaluate.choose import ChooseConfig, choose
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.rollouts import rollout
from dreamenv.world import seen_by, showing

THREE = ActionSpec(n=3)
SHORT = dataclasses.replace(DOT_EVOLVE, generations=2, evaluation_every=2)
INPUTS = [("z",), ("h",), ("h", "z"), ("z", "h", "c")]


@pytest.mark.parametrize("inputs", [*INPUTS, ("h", "step", "z")])
def test_observations_are_the_parts_of_the_state_in_order_and_in_bounds(dot_world, inputs):
    env = DreamVectorEnv(showing(dot_world, inputs), 5, autoreset_mode="SameStep")
    whole = DreamVectorEnv(showing(dot_world, ("z", "h", "c", "step")), 5, autoreset_mode="SameStep")
    z, h = dot_world.model.latent_size, dot_world.model.hidden_size
    parts = {"z": slice(0, z), "h": slice(z, z + h), "c": slice(z + h, z + 2 * h), "step": slice(-1, None)}
    step = np.zeros(5)
    observation, everything = env.reset(seed=0)[0], whole.reset(seed=0)[0]
    for k in range(60):
        assert np.array_equal(observation, np.concatenate([everything[:, parts[name]] for name in inputs], axis=1))
        assert env.observation_space.contains(observation)
        assert np.array_equal(everything[:, -1], step)
        observation, (everything, _, terminated, truncated, _) = (one.step(np.full(5, k % 3)) for one in (env, whole))
        observation, step = observation[0], np.where(terminated | truncated, 0, step + 1)


def test_what_a_world_shows_survives_the_ways_it_changes(dot_world):
    shown = showing(dot_world, ("z", "c"))
    packed = dataclasses.replace(shown, model=compiled(shown.model))
    assert dot_world.view.inputs == ("z", "h")
    for other in (packed, on_device(shown, "meta"), on_device(packed, "meta")):
        assert other.view.inputs == ("z", "c")
        assert other.feature_size == shown.feature_size


@pytest.mark.parametrize("inputs", [(), ("z", "z"), ("x",), ("z", "q")])
def test_other_inputs_are_refused(dot_world, inputs):
    with pytest.raises(ValueError, match="expected some of z, h, c, step, each once, got"):
        showing(dot_world, inputs)


@pytest.mark.parametrize("inputs", INPUTS)
def test_reality_shows_the_same(dot_world, inputs):
    env = dreamenv.LatentObservation(dreamenv.make_real("dot_env:Dot-v0"), showing(dot_world, inputs))
    assert env.reset(seed=0)[0].shape == env.observation_space.shape == (showing(dot_world, inputs).feature_size,)
    assert env.observation_space.contains(env.step(0)[0])


@pytest.mark.parametrize("hidden", [0, 6])
@pytest.mark.parametrize("inputs", INPUTS)
def test_evolved_controllers_keep_their_inputs_in_their_files_and_are_compared_by_them(
    dot_world, tmp_path, inputs, hidden
):
    config = dataclasses.replace(SHORT, inputs=inputs, hidden=hidden)
    agent = dreamenv.evolve(dot_world, tmp_path, config)
    again = dreamenv.load_agent(tmp_path)
    size = showing(dot_world, inputs).feature_size
    count = hidden * (size + 1) + 3 * (hidden + 1) if hidden else 3 * (size + 1)
    assert (again.inputs, again.feature_size, again.num_parameters) == (inputs, size, count)
    observation = np.random.default_rng(0).normal(size=(4, size)).astype(np.float32)
    assert np.array_equal(
        again.predict(observation, deterministic=True)[0], agent.predict(observation, None, None, True)[0]
    )
    result = dreamenv.compare(dot_world, again, dreamenv.CompareConfig((1.0,), episodes=2, num_envs=2))
    env = DreamVectorEnv(showing(dot_world, inputs), 2, autoreset_mode=AutoresetMode.DISABLED)
    outcomes = rollout(env, agent, range(90_000, 90_002), deterministic=True, options={"temperature": 1.0})
    dreamed = {outcome.seed: outcome.length for outcome in outcomes}
    (compared,) = (
        score for score in result.scores if score.place == "dream" and score.deterministic and not score.baseline
    )
    assert compared.lengths == (dreamed[90_000], dreamed[90_001])
    chosen = choose(dot_world, {"one": again, "other": agent}, ChooseConfig(episodes=2))
    assert chosen["one"].returns == chosen["other"].returns


def test_ppo_keeps_its_inputs(dot_world, tmp_path):
    config = dreamenv.PPOConfig(timesteps=256, num_envs=4, n_steps=16, batch_size=32, inputs=("z",))
    assert dreamenv.train_ppo(dot_world, tmp_path, config).inputs == ("z",)
    agent = dreamenv.load_agent(tmp_path)
    assert seen_by(dot_world, agent).feature_size == dot_world.model.latent_size
    assert agent.predict(np.zeros((2, dot_world.model.latent_size), np.float32))[0].shape == (2,)


@pytest.mark.parametrize("inputs", [("h", "z"), ("c", "z", "step", "h")])
def test_trust_judges_an_agent_alike_in_whatever_order_it_sees_z_and_h(dot_world, dot_folder, dot_agent_folder, inputs):
    agent = dreamenv.load_agent(dot_agent_folder)
    columns = dict(zip(("z", "h"), np.split(agent.weight, [dot_world.model.latent_size], axis=1), strict=True))
    columns |= {"c": np.zeros((3, dot_world.model.carry_size)), "step": np.zeros((3, 1))}
    other = LinearAgent(np.concatenate([columns[name] for name in inputs], 1), agent.bias, THREE, inputs=inputs)
    store, config = dreamenv.EpisodeStore(dot_folder / "episodes"), dreamenv.TrustConfig(dreams=10, real_episodes=4)
    one, same = (dreamenv.trust(dot_world, each, store, config) for each in (agent, other))
    assert same.dream == one.dream and same.gaps == one.gaps and same.failures == one.failures
    assert [sign.value for sign in same.signs] == pytest.approx([sign.value for sign in one.signs], abs=1e-5)
    assert np.array_equal(same.strip.dreamed, one.strip.dreamed)


class Clock:
    """Sees the step alone, always acts alike, and remembers what it saw without a state."""

    inputs = ("step",)

    def __init__(self):
        self.seen = []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        if state is None:
            self.seen += observation[:, 0].tolist()
        return np.zeros(len(observation), np.int64), "a state"


def test_trust_asks_about_recorded_steps_with_their_numbers(dot_world, dot_folder):
    agent, store = Clock(), dreamenv.EpisodeStore(dot_folder / "episodes")
    dreamenv.trust(dot_world, agent, store, dreamenv.TrustConfig(dreams=2))
    recorded = [step for episode in store.split()[0] for step in range(1, len(episode) + 1)]
    assert [step for step in agent.seen if step] == recorded


class TestHidden:
    """A layer of tanh units before the linear one."""

    def test_sidewalks_z_only_controller_of_world_models_size(self):
        parameters = np.arange(40.0 * (64 + 1) + 3 * 41)
        agent = LinearAgent.from_parameters(parameters, THREE, inputs=("z",), hidden=40)
        assert agent.num_parameters == len(parameters)
        assert (agent.hidden[0].shape, agent.weight.shape) == ((40, 64), (3, 40))
        assert agent.hidden[0][1, 0] == 65.0
        assert agent.bias[0] == 40 * 65 + 40

    def test_it_is_the_formula(self):
        generator = np.random.default_rng(0)
        (w1, b1), (w2, b2) = ((generator.normal(size=(o, i)), generator.normal(size=o)) for o, i in ((4, 5), (3, 4)))
        agent = LinearAgent(w2, b2, THREE, hidden=(w1, b1))
        x = generator.normal(size=(20, 5)).astype(np.float32)
        expected = (np.tanh(x @ w1.T + b1) @ w2.T + b2).argmax(1)
        assert np.array_equal(agent.predict(x, deterministic=True)[0], expected)

    def test_a_population_acts_as_its_members_would(self):
        parameters = np.random.default_rng(2).normal(size=(4, 7 * 6 + 3 * 8))
        observation = np.random.default_rng(3).normal(size=(12, 5)).astype(np.float32)
        population = Population(parameters, THREE, 3, 0, torch.device("cpu"), hidden=7)
        actions, _ = population.predict(torch.from_numpy(observation), None, np.ones(12, bool), deterministic=True)
        members = [LinearAgent.from_parameters(row, THREE, hidden=7) for row in parameters]
        assert actions.tolist() == [
            members[row // 3].predict(observation[row], deterministic=True)[0] for row in range(12)
        ]

    def test_evolution_begins_with_the_worlds_action_prior(self, dot_world):
        ((_, b1), (w2, b2)) = unpack(initial_parameters(dot_world, hidden=5)[None], THREE, 5)
        assert not b1.any()
        assert not w2.any()
        expected = np.array(dot_world.config.action_prior)
        assert torch.softmax(b2[0], 0).numpy() == pytest.approx(expected, abs=2e-3)

    def test_shapes_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match=r"expected hidden \(4, F\) and \(4,\), got"):
            LinearAgent(np.zeros((3, 4)), np.zeros(3), THREE, hidden=(np.zeros((5, 2)), np.zeros(5)))
