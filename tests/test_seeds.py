"""Seeds: two runs, purposes and rounds draw nothing in common."""

import dataclasses
import json
from typing import get_args

import numpy as np
import pytest
import stable_baselines3 as sb3
from gymnasium.vector import AutoresetMode

import dreamenv
from dreamenv import DreamVectorEnv, EvolveConfig, PPOConfig, as_vec_env
from dreamenv.agents import evolve as evolve_module
from dreamenv.agents import ppo as ppo_module
from dreamenv.envs.streams import NoiseStreams
from dreamenv.foundation.errors import ResumeError
from dreamenv.foundation.seeds import Purpose, spawn, spawn_short
from dreamenv.models.noise import NoiseSpec
from dreamenv.rounds.iterate import IterateConfig, _seed

PPO = PPOConfig(timesteps=512, num_envs=256, n_steps=2, batch_size=512, n_epochs=1, net_arch=(4,))
EVOLVE = EvolveConfig(generations=4, population=2, episodes=3, num_envs=8, evaluation_every=1, evaluation_episodes=4)


@pytest.fixture
def seeds_used(monkeypatch):
    """A function that runs something, and returns the seeds of all dreams that it began."""
    used, original = [], DreamVectorEnv.reset

    def reset(self, *, seed=None, options=None):
        used.extend([] if seed is None else np.atleast_1d(seed).tolist())
        return original(self, seed=seed, options=options)

    monkeypatch.setattr(DreamVectorEnv, "reset", reset)

    def run(what):
        used.clear()
        what()
        return set(used)

    return run


def noise(seeds):
    """The first numbers of every stream, one row a seed."""
    streams = NoiseStreams(len(seeds), NoiseSpec(4, 4))
    streams.reset(np.arange(len(seeds)), list(seeds))
    drawn = streams.draw(np.arange(len(seeds)))
    return {tuple(row) for row in np.concatenate([drawn.uniform, drawn.normal], axis=1).tolist()}


def test_seeds_differ_by_run_purpose_and_index():
    seeds = [
        value
        for seed in range(20)
        for purpose in get_args(Purpose)
        for index in ((), (0,), (1,), (0, 1))
        for value in spawn(seed, purpose, 50, *index)
    ]
    assert len(set(seeds)) == len(seeds) == 20 * len(get_args(Purpose)) * 4 * 50
    assert 0 <= min(seeds) and max(seeds) < 2**63
    assert spawn(3, "dreams", 5, 1) == spawn(3, "dreams", 9, 1)[:5]
    short = [spawn_short(seed, "round", number) for seed in range(20) for number in range(20)]
    assert len(set(short)) == len(short) and 0 <= min(short) and max(short) < 2**32


def test_a_purpose_keeps_its_place_as_seeds_depend_on_it():
    expected = ("environments", "ppo", "search", "dreams", "actions", "evaluation", "evaluation actions", "round")
    assert get_args(Purpose)[: len(expected)] == expected
    assert spawn(0, "environments", 1) == [4334430513956379144]


def test_two_trainings_of_ppo_share_no_noise(dot_world, tmp_path, seeds_used):
    one, other = (
        seeds_used(lambda s=s: dreamenv.train_ppo(dot_world, tmp_path / str(s), dataclasses.replace(PPO, seed=s)))
        for s in (0, 1)
    )
    assert len(one) == len(other) == 256
    assert not one & other
    assert len(noise([*one, *other])) == 512


def test_two_searches_share_no_noise_and_no_draws(dot_world, tmp_path, monkeypatch):
    played, draws = {0: [], 1: []}, {0: [], 1: []}
    rollout, population = evolve_module.rollout, evolve_module.Population

    def observed(env, policy, seeds):
        played[len(seeds) == 4].append(seeds)
        return rollout(env, policy, seeds)

    def drawing(parameters, action, episodes, seed, *rest):
        draws[episodes == 4].append(seed)
        return population(parameters, action, episodes, seed, *rest)

    monkeypatch.setattr(evolve_module, "rollout", observed)
    monkeypatch.setattr(evolve_module, "Population", drawing)
    for seed in (0, 1):
        dreamenv.evolve(dot_world, tmp_path / str(seed), dataclasses.replace(EVOLVE, seed=seed))

    dreams = [set(seeds) for seeds in played[0]]  # of one generation each, of both runs
    evaluations = [set(seeds) for seeds in played[1]]
    assert evaluations[:4] == [evaluations[0]] * 4 and evaluations[4:] == [evaluations[4]] * 4
    apart = [*dreams, evaluations[0], evaluations[4]]
    everything = set().union(*apart)
    assert len(everything) == sum(map(len, apart)) == 8 * 3 + 2 * 4
    assert len(noise(everything)) == len(everything)
    assert len({seed % 2**32 for seed in (*draws[0], *draws[1])}) == 16  # those 32 bits count in torch.Generator


def test_two_models_of_stable_baselines3_share_no_dream(dot_world, seeds_used):
    def train(seed):
        env = as_vec_env(DreamVectorEnv(dot_world, 64, autoreset_mode=AutoresetMode.SAME_STEP))
        sb3.PPO("MlpPolicy", env, n_steps=2, batch_size=128, n_epochs=1, seed=seed, device="cpu").learn(128)

    one, other, again = (seeds_used(lambda s=s: train(s)) for s in (0, 1, 0))
    assert len(one) == len(other) == 64
    assert one == again and not one & other


def test_a_vec_env_without_a_seed_draws_one(dot_world):
    env = as_vec_env(DreamVectorEnv(dot_world, 4, autoreset_mode=AutoresetMode.SAME_STEP))
    assert len({*env.seed(), *env.seed()}) == 8


def test_rounds_train_with_seeds_of_their_own():
    seeds = [_seed(number, IterateConfig(seed=seed)) for seed in range(10) for number in range(20)]
    assert len(set(seeds)) == len(seeds)
    assert _seed(0, IterateConfig(seed=7)) == 7  # what the single commands do


def test_a_search_with_seeds_of_the_older_way_is_not_gone_on_with(dot_world, tmp_path):
    dreamenv.evolve(dot_world, tmp_path, dataclasses.replace(EVOLVE, generations=1))
    path = tmp_path / "evolution.json"
    older = json.loads(path.read_text())
    del older["seeding"]
    path.write_text(json.dumps(older))
    with pytest.raises(ResumeError, match="seeding 1 there, 2 here"):
        dreamenv.evolve(dot_world, tmp_path, EVOLVE)


def test_a_training_of_ppo_with_seeds_of_the_older_way_is_not_gone_on_with(dot_world, tmp_path, monkeypatch):
    monkeypatch.setattr(ppo_module, "SEEDING", 1)
    dreamenv.train_ppo(dot_world, tmp_path, PPO)
    monkeypatch.undo()
    with pytest.raises(ResumeError, match="seeding 1 there, 2 here"):
        dreamenv.train_ppo(dot_world, tmp_path, PPO)
