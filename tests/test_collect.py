"""Collecting: repeatable, resumable, and nothing lost on the way."""

import dataclasses
import importlib
import multiprocessing
import os

import numpy as np
import pytest
from dot_env import DotEnv

from dreamenv.collect import FIRST_TRAINING_SEED, CollectConfig, collect
from dreamenv.endings import ending_kinds
from dreamenv.episodes import EpisodeStore
from dreamenv.errors import StoreError, UnsupportedEnvironmentError

ENVS = pytest.mark.parametrize("env_id", ["Dot-v0", "ContinuousDot-v0"])
CONFIG = CollectConfig(frames=300, num_envs=4, shard_episodes=12)


def shards(folder):
    """Names of all shards; every name carries the SHA-256 of its shard's content."""
    return sorted(path.name for path in folder.glob("*.safetensors"))


def interrupt_call(monkeypatch, owner, name, count):
    """Raises KeyboardInterrupt in call number ``count`` of ``owner.name``."""
    original, calls = getattr(owner, name), iter(range(1, count + 1))

    def interrupted(*args, **kwargs):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, interrupted)


@ENVS
def test_the_same_seed_collects_bitwise_the_same(tmp_path, env_id):
    for name in ("first", "again"):
        collect(env_id, tmp_path / name, CONFIG)

    assert len(shards(tmp_path / "first")) > 2
    assert shards(tmp_path / "first") == shards(tmp_path / "again")


def test_other_seeds_collect_other_data(tmp_path):
    for seed in (0, 1):
        collect("Dot-v0", tmp_path / str(seed), dataclasses.replace(CONFIG, seed=seed))

    assert set(shards(tmp_path / "0")).isdisjoint(shards(tmp_path / "1"))


def test_data_do_not_depend_on_the_number_of_environments(tmp_path):
    for num_envs in (1, 5, 20):
        collect("Dot-v0", tmp_path / str(num_envs), dataclasses.replace(CONFIG, num_envs=num_envs))

    assert shards(tmp_path / "1") == shards(tmp_path / "5") == shards(tmp_path / "20")


@pytest.mark.parametrize("env_id", ["dot_env:Dot-v0", "dot_env:ContinuousDot-v0"])
def test_processes_collect_bitwise_the_same(tmp_path, env_id):
    for processes in (False, True):
        config = dataclasses.replace(CONFIG, processes=processes, num_envs=3)
        collect(env_id, tmp_path / str(processes), config)

    assert shards(tmp_path / "True") == shards(tmp_path / "False")
    assert multiprocessing.active_children() == []


@ENVS
@pytest.mark.parametrize("steps", [0, 30, 95])
def test_a_collection_interrupted_while_playing_ends_with_the_same_data(tmp_path, monkeypatch, env_id, steps):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_call(patch, DotEnv, "step", steps)
        collect(env_id, tmp_path / "interrupted", CONFIG)

    collect(env_id, tmp_path / "interrupted", CONFIG)
    collect(env_id, tmp_path / "whole", CONFIG)

    assert shards(tmp_path / "interrupted") == shards(tmp_path / "whole")


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_collection_interrupted_while_writing_ends_with_the_same_data(tmp_path, monkeypatch, call, count):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_call(patch, os, call, count)
        collect("Dot-v0", tmp_path / "interrupted", CONFIG)

    collect("Dot-v0", tmp_path / "interrupted", CONFIG)
    collect("Dot-v0", tmp_path / "whole", CONFIG)

    assert shards(tmp_path / "interrupted") == shards(tmp_path / "whole")


def test_a_collection_that_goes_on_equals_one_in_one_go(tmp_path):
    collect("Dot-v0", tmp_path / "twice", dataclasses.replace(CONFIG, frames=200))
    collect("Dot-v0", tmp_path / "twice", CONFIG)
    collect("Dot-v0", tmp_path / "once", CONFIG)

    assert shards(tmp_path / "twice") == shards(tmp_path / "once")


def test_a_full_store_is_left_as_it_is(tmp_path):
    before = len(collect("Dot-v0", tmp_path, CONFIG))

    assert len(collect("Dot-v0", tmp_path, CONFIG)) == before


def test_collection_stops_with_the_shard_that_reaches_the_frames(tmp_path):
    store = collect("Dot-v0", tmp_path, CONFIG)
    last = sum(len(episode) + 1 for episode in list(store)[-CONFIG.shard_episodes :])

    assert store.num_frames - last < CONFIG.frames <= store.num_frames
    assert len(store) == CONFIG.shard_episodes * len(store.shard_names)


@pytest.mark.parametrize("seed", [0, 3])
def test_training_seeds_are_consecutive_and_a_million_at_least(tmp_path, seed):
    store = collect("Dot-v0", tmp_path, dataclasses.replace(CONFIG, seed=seed))
    first = FIRST_TRAINING_SEED * (1 + seed)

    assert FIRST_TRAINING_SEED == 1_000_000
    assert [episode.seed for episode in store] == list(range(first, first + len(store)))


def test_seeds_kept_for_validation_cannot_be_asked_for(tmp_path):
    with pytest.raises(ValueError, match="seed"):
        collect("Dot-v0", tmp_path, dataclasses.replace(CONFIG, seed=-1))


@pytest.mark.parametrize("change", [{"num_envs": 0}, {"shard_episodes": 0}, {"num_envs": -3}], ids=str)
def test_counts_below_one_are_refused(change):
    with pytest.raises(ValueError, match="expected (num_envs|shard_episodes) of at least 1, got"):
        dataclasses.replace(CONFIG, **change)


@ENVS
def test_episodes_replay_in_the_environment_final_observation_included(tmp_path, env_id):
    env = DotEnv(continuous=env_id == "ContinuousDot-v0")
    for episode in list(collect(env_id, tmp_path, CONFIG))[:20]:
        frames, rewards = [env.reset(seed=episode.seed)[0]], []
        for action in episode.actions:
            frame, reward, terminated, truncated, _ = env.step(action)
            frames.append(frame)
            rewards.append(reward)
        np.testing.assert_array_equal(episode.observations, np.stack(frames))
        np.testing.assert_array_equal(episode.rewards, np.float32(rewards))
        assert episode.terminated == terminated
        assert episode.truncated == (truncated and not terminated)
        assert terminated or truncated


def test_all_ways_to_end_are_found(tmp_path):
    store = collect("Dot-v0", tmp_path, dataclasses.replace(CONFIG, frames=1500))

    assert set(ending_kinds(store)) == {"continues", "same", "better"}


def test_episodes_say_who_acted(tmp_path):
    policies = {episode.policy.partition("(")[0] for episode in collect("Dot-v0", tmp_path, CONFIG)}

    assert policies == {"bump-and-turn", "preference", "sticky"}


@ENVS
def test_the_store_knows_its_environment(tmp_path, env_id):
    env = DotEnv(continuous=env_id == "ContinuousDot-v0")
    collect(env_id, tmp_path, CONFIG)

    spec = EpisodeStore(tmp_path).spec

    assert (spec.env_id, spec.frame_shape) == (env_id, env.observation_space.shape)
    assert spec.action.space == env.action_space


def test_an_environment_of_another_module_can_be_made_again_in_a_new_process(tmp_path):
    importlib.import_module("dot_env")

    store = collect("dot_env:Dot-v0", tmp_path, CONFIG)

    assert store.spec.env_id == "dot_env:Dot-v0"


@pytest.mark.parametrize("env_id", ["NoSuchEnvironment-v0", "no_such_module:Dot-v0"])
def test_an_unknown_id_is_refused(tmp_path, env_id):
    with pytest.raises(UnsupportedEnvironmentError, match=env_id):
        collect(env_id, tmp_path, CONFIG)


def test_an_environment_without_frames_is_refused(tmp_path):
    with pytest.raises(UnsupportedEnvironmentError, match="expected RGB observations"):
        collect("CartPole-v1", tmp_path, CONFIG)


def test_a_refused_environment_leaves_no_store(tmp_path):
    with pytest.raises(UnsupportedEnvironmentError):
        collect("CartPole-v1", tmp_path / "episodes", CONFIG)

    assert not (tmp_path / "episodes").exists()


def test_a_store_of_another_environment_is_refused(tmp_path):
    collect("Dot-v0", tmp_path, CONFIG)

    with pytest.raises(StoreError, match="ContinuousDot-v0"):
        collect("ContinuousDot-v0", tmp_path, CONFIG)


def test_a_deleted_shard_brings_no_episode_twice(tmp_path):
    store = collect("Dot-v0", tmp_path, CONFIG)
    (tmp_path / store.shard_names[0]).unlink()

    again = collect("Dot-v0", tmp_path, dataclasses.replace(CONFIG, frames=2 * CONFIG.frames))

    assert len(set(again.seeds.tolist())) == len(again)


def test_a_store_is_free_again_after_collecting(tmp_path):
    collect("Dot-v0", tmp_path, CONFIG)
    held = EpisodeStore.create(tmp_path, EpisodeStore(tmp_path).spec)

    with pytest.raises(StoreError, match="another process is adding episodes"):
        collect("Dot-v0", tmp_path, CONFIG)
    held.close()
    collect("Dot-v0", tmp_path, CONFIG)


def test_episodes_that_never_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("dreamenv.collect"), "ENDLESS_STEPS", 200)
    monkeypatch.setattr(DotEnv, "step", lambda self, action: (self._frame(), 0.0, False, False, {}))
    with pytest.raises(UnsupportedEnvironmentError, match="none in 200 steps .* without a time limit"):
        collect("Dot-v0", tmp_path, CONFIG)
    assert len(EpisodeStore(tmp_path)) == 0
