"""Everything public copies and pickles on every processor, and the copy goes on to the same bits."""

import copy
import dataclasses
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from dot_env import DotEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import dreamenv
from dreamenv import DreamEnv, DreamVectorEnv, LatentObservation
from dreamenv.agents.vote import VotingAgent
from dreamenv.engine import products
from dreamenv.engine.packed import PackedMDNRNN, compiled
from dreamenv.engine.products import matrix_product
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.envs.pseudo import PseudoDream
from dreamenv.envs.shaping import VectorActionPenalty
from dreamenv.foundation.errors import BundleError
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.models.noise import Noise

WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}


@pytest.fixture(params=WAYS)
def duplicate(request):
    return WAYS[request.param]


@pytest.fixture(params=["MKL", "oneDNN"], autouse=True)
def library(request, monkeypatch):
    """As on processors where MKL is fast, and as on AMD's with AVX-512, where weights are in oneDNN's own layout."""
    monkeypatch.setattr(products, "mkl_is_fast", lambda: request.param == "MKL")


def same(one, other):
    if isinstance(one, np.ndarray) and one.dtype == object:
        return all(map(np.array_equal, one, other))
    return np.array_equal(one, other)


def goes_on_alike(env, other, steps=30):
    """Whether an environment and its copy, both in the middle of an episode, are the same to the bit."""
    env.action_space.seed(1)
    for _ in range(steps):
        action = env.action_space.sample()
        mine, theirs = env.step(action), other.step(action)
        assert all(map(same, mine[:4], theirs[:4]))
        if getattr(env, "num_envs", None) is None and (mine[2] or mine[3]):
            assert np.array_equal(env.reset()[0], other.reset()[0])
    return True


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("name", ["dot_world", "continuous_world"])
def test_a_copied_dream_goes_on_alike(request, name, dtype, duplicate):
    env = gym.make("dreamenv:Dream-v0", world=request.getfixturevalue(name), dtype=dtype, dropout=0.1)
    env.reset(seed=1)
    env.step(env.action_space.sample())
    assert goes_on_alike(env, duplicate(env))


def test_a_copied_vector_and_its_snapshot_go_on_alike(dot_world, duplicate):
    env = DreamVectorEnv(dot_world, 3, branched_starts=0.5, render_mode="rgb_array")
    env.reset(seed=1)
    env.step(np.zeros(3, int))
    snapshot, other = duplicate(env.snapshot()), duplicate(env)
    assert np.array_equal(env.render(), other.render())
    assert goes_on_alike(env, other)
    env.restore(snapshot)
    other.restore(snapshot)
    assert goes_on_alike(env, other)


@pytest.mark.parametrize(
    "make",
    [
        lambda world: LatentObservation(DotEnv(), world),
        lambda world: gym.make("dreamenv:Latent-v0", world=world),
        lambda world: make_latent_vector(world, 2),
        lambda world: VectorActionPenalty(make_latent_vector(world, 2)),
        lambda world: PseudoDream(SyncVectorEnv([DotEnv] * 2), world, every=3),
    ],
    ids=["single", "made", "vector", "wrapped", "pseudo"],
)
def test_copied_reality_goes_on_alike(dot_world, make, duplicate):
    env = make(dot_world)
    env.reset(seed=1)
    env.step(env.action_space.sample())
    assert goes_on_alike(env, duplicate(env))


def test_copied_dreams_for_stable_baselines3_go_on_alike(dot_world, duplicate):
    env = dreamenv.as_vec_env(DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.SAME_STEP))
    env.reset()
    other = duplicate(env)
    assert all(same(env.step(np.zeros(2, int))[i], other.step(np.zeros(2, int))[i]) for i in range(3))


@torch.inference_mode()
@pytest.mark.parametrize("packed", [False, True])
def test_a_copied_world_imagines_alike_and_shares_nothing(dot_world, packed, duplicate):
    world = dataclasses.replace(dot_world, model=compiled(dot_world.model)) if packed else dot_world
    other = duplicate(world)
    noise = Noise.draw(5, world.model.prior_noise, torch.Generator().manual_seed(0))
    steps = [w.imagine(w.sample_start(noise), torch.zeros(5, dtype=torch.int64), 1.0, noise)[0] for w in (world, other)]
    assert torch.equal(world.features(steps[0]), other.features(steps[1]))
    assert not {p.data_ptr() for p in world.model.parameters()} & {p.data_ptr() for p in other.model.parameters()}
    assert type(other.model) is (PackedMDNRNN if packed else MDNRNN)


def test_a_copied_agent_acts_alike(dot_world, dot_agent_folder, duplicate):
    agent = dreamenv.load_agent(dot_agent_folder)
    observation = DreamEnv(dot_world).reset(seed=0)[0]
    assert np.array_equal(agent.predict(observation)[0], duplicate(agent).predict(observation)[0])


def test_copied_agents_of_stable_baselines3_and_their_vote_act_alike(dot_world, tmp_path, duplicate):
    from stable_baselines3 import PPO

    vec_env = dreamenv.as_vec_env(DreamVectorEnv(dot_world, 2, autoreset_mode=AutoresetMode.SAME_STEP))
    for seed in (0, 1):
        model = PPO("MlpPolicy", vec_env, seed=seed, n_steps=8, batch_size=8, policy_kwargs={"net_arch": [8]})
        dreamenv.save_sb3(model, tmp_path / str(seed), dot_world)
    members = [dreamenv.load_agent(tmp_path / str(seed)) for seed in (0, 1)]
    observation = DreamEnv(dot_world).reset(seed=0)[0]
    for agent in (members[0], VotingAgent(members)):
        other = duplicate(agent)
        assert agent.predict(observation, deterministic=True)[0] == other.predict(observation, deterministic=True)[0]


def test_stores_settings_and_errors_copy(dot_folder, dot_world, duplicate):
    store = dreamenv.EpisodeStore(dot_folder / "episodes")
    episode = next(iter(store))
    assert np.array_equal(next(iter(duplicate(store))).observations, episode.observations)
    assert np.array_equal(duplicate(episode).observations, episode.observations)
    for value in (dot_world.config, store.spec, dreamenv.PPOConfig(), dreamenv.TrainConfig(), dreamenv.CompareConfig()):
        assert duplicate(value) == value
    assert str(duplicate(BundleError("expected this, got that"))) == "expected this, got that"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8], ids=str)
def test_a_pickled_product_is_laid_out_for_the_processor_that_reads_it(dtype, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(48, 80, generator=generator), torch.randn(5, 80, generator=generator)
    product = matrix_product(weight, dtype)
    written = pickle.dumps(product)
    start = torch.zeros(5, 48, dtype=product.dtype)
    assert torch.equal(pickle.loads(written).onto(start.clone(), x), product.onto(start.clone(), x))
    for mkl in (True, False):
        monkeypatch.setattr(products, "mkl_is_fast", lambda mkl=mkl: mkl)
        found = pickle.loads(written).onto(start.clone(), x)
        assert torch.equal(found, matrix_product(weight, dtype).onto(start.clone(), x))
