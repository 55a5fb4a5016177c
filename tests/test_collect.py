"""Collecting: repeatable, resumable, and nothing lost on the way."""

import dataclasses
import importlib
import json
import multiprocessing
import os
import tracemalloc

import numpy as np
import pytest
from dot_env import DotEnv, FragileDotEnv

from dreamenv.data.collect import CollectConfig, collect
from dreamenv.data.endings import ending_kinds
from dreamenv.data.store import EpisodeStore
from dreamenv.foundation.errors import EpisodeError, StoreError, UnsupportedEnvironmentError
from dreamenv.foundation.seeds import FIRST_TRAINING_SEED

ENVS = pytest.mark.parametrize("env_id", ["Dot-v0", "ContinuousDot-v0"])
COLLECT = importlib.import_module("dreamenv.data.collect")  # the package has a function of this name
CONFIG = CollectConfig(frames=300, num_envs=4, shard_episodes=12)


def shards(folder):
    """Names of all shards; every name carries the SHA-256 of its shard's content."""
    return sorted(path.name for path in folder.glob("*.safetensors"))


def assert_same_episodes(store, other):
    """Bitwise; whatever shards they are in."""
    assert len(store) == len(other)
    for one, two in zip(store, other, strict=True):
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))


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
        collect(env_id, tmp_path / name, dataclasses.replace(CONFIG, frames=450))

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


@ENVS
@pytest.mark.parametrize("frames", [20, 200, 290])
def test_a_collection_that_goes_on_has_the_episodes_of_one_in_one_go(tmp_path, env_id, frames):
    collect(env_id, tmp_path / "twice", dataclasses.replace(CONFIG, frames=frames))
    twice = collect(env_id, tmp_path / "twice", dataclasses.replace(CONFIG, frames=600))
    once = collect(env_id, tmp_path / "once", dataclasses.replace(CONFIG, frames=600))

    assert_same_episodes(twice, once)


def test_a_full_store_is_left_as_it_is(tmp_path):
    before = len(collect("Dot-v0", tmp_path, CONFIG))

    assert len(collect("Dot-v0", tmp_path, CONFIG)) == before


@pytest.mark.parametrize("frames", [1, 100, 301])
def test_collection_stops_with_the_episode_that_reaches_the_frames(tmp_path, frames):
    store = collect("Dot-v0", tmp_path, dataclasses.replace(CONFIG, frames=frames))
    *_, last = store

    assert store.num_frames - (len(last) + 1) < frames <= store.num_frames


def test_shards_are_bounded_by_bytes_whatever_plays_beside_each_other(tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, frames=600, shard_episodes=30)
    whole = collect("Dot-v0", tmp_path / "whole", config)
    monkeypatch.setattr(COLLECT, "SHARD_BYTES", 80 * DotEnv().observation_space.shape[0] * 32 * 3)
    for num_envs in (1, 5, 20):
        store = collect("Dot-v0", tmp_path / str(num_envs), dataclasses.replace(config, num_envs=num_envs))
        assert_same_episodes(store, whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_call(patch, os, "replace", 4)  # of spec.json and shards
        collect("Dot-v0", tmp_path / "interrupted", config)
    collect("Dot-v0", tmp_path / "interrupted", config)

    assert len({tuple(shards(tmp_path / name)) for name in ("1", "5", "20", "interrupted")}) == 1
    frames = [sum(len(one) + 1 for one in shard) for shard in by_shard(store)]
    assert len(frames) > 6
    assert max(frames) < 80 + DotEnv.limit + 1


def by_shard(store):
    """The episodes of every shard."""
    episodes = iter(store)
    return [[next(episodes) for _ in shard.lengths] for shard in store._shards]


def test_collecting_takes_less_memory_than_one_shard_and_a_half(tmp_path, monkeypatch):
    monkeypatch.setattr(COLLECT, "SHARD_BYTES", 1_000_000)  # 650 frames
    config = dataclasses.replace(CONFIG, frames=2000, shard_episodes=1000)
    collect("Dot-v0", tmp_path / "warm", CONFIG)
    tracemalloc.start()
    try:
        store = collect("Dot-v0", tmp_path / "measured", config)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(store.shard_names) >= 3
    assert peak < 1_500_000


class Bar:
    """Keeps what a bar shows."""

    def __init__(self, total, **kwargs):
        self.total, self.n, self.shown = total, 0, []

    def update(self, frames):
        self.n += frames
        self.shown.append(self.n)
        assert 0 <= frames and self.n <= self.total

    def set_postfix(self, **kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


@pytest.mark.parametrize(("env_id", "limit"), [("Dot-v0", 300), ("FragileDot-v0", 300), ("Dot-v0", 3)])
@pytest.mark.filterwarnings("ignore:FragileDot-v0 failed")
def test_the_bar_moves_with_the_frames_and_ends_full(tmp_path, monkeypatch, env_id, limit):
    bars = []
    monkeypatch.setattr(COLLECT, "progress", lambda **kwargs: bars.append(Bar(**kwargs)) or bars[-1])

    for frames in (limit, limit // 3, limit + 100):
        store = collect(env_id, tmp_path, dataclasses.replace(CONFIG, frames=frames, shard_episodes=1000))

    assert [bar.n for bar in bars] == [bar.total for bar in bars]
    assert bars[-1].n == store.num_frames
    assert len(set(bars[-1].shown)) > 10  # though all of it is one shard


@pytest.mark.parametrize("processes", [False, True])
def test_an_episode_that_fails_is_set_aside_and_the_others_stay_as_they_are(tmp_path, processes):
    config = dataclasses.replace(CONFIG, processes=processes, num_envs=3, shard_episodes=1000)
    with pytest.warns(UserWarning, match=r"FragileDot-v0 failed in step 2 of the episode with seed \d+: OSError: ep"):
        store = collect("dot_env:FragileDot-v0", tmp_path / "fragile", config)
    sound = collect("dot_env:Dot-v0", tmp_path / "sound", dataclasses.replace(CONFIG, frames=500, shard_episodes=1000))

    failed = [seed for seed in store.failures if seed <= store.seeds.max()]
    assert failed == [seed for seed in range(1_000_000, int(store.seeds.max())) if seed % 7 == 3]
    assert sorted([*store.seeds.tolist(), *failed]) == list(range(1_000_000, int(store.seeds.max()) + 1))
    expected = [episode for episode in sound if episode.seed % 7 != 3][: len(store)]
    assert_same_episodes(list(store), expected)
    record = json.loads((tmp_path / "fragile" / "set_aside.json").read_text())["1000002"]
    assert "OSError: episode" in record["reason"]
    assert "in step" in record["details"]
    assert multiprocessing.active_children() == []


@pytest.mark.filterwarnings("ignore:FragileDot-v0 failed")
def test_failures_change_nothing_about_interruptions_and_the_number_of_environments(tmp_path, monkeypatch):
    for num_envs in (1, 5, 20):
        collect("FragileDot-v0", tmp_path / str(num_envs), dataclasses.replace(CONFIG, num_envs=num_envs))
    for step in (20, 60, 160):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt_call(patch, FragileDotEnv, "step", step)
            collect("FragileDot-v0", tmp_path / f"interrupted{step}", CONFIG)
        collect("FragileDot-v0", tmp_path / f"interrupted{step}", CONFIG)

    folders = [folder for folder in tmp_path.iterdir() if folder.is_dir()]
    assert len(folders) == 6
    assert len({tuple(shards(folder)) for folder in folders}) == 1


def test_a_failed_episode_is_not_tried_again(tmp_path, monkeypatch):
    tried, reset = [], FragileDotEnv.reset
    monkeypatch.setattr(
        FragileDotEnv, "reset", lambda self, *, seed=None, **kwargs: tried.append(seed) or reset(self, seed=seed)
    )
    with pytest.warns(UserWarning, match="failed in step 2"):
        for frames in (20, 60, 100):
            collect("FragileDot-v0", tmp_path, dataclasses.replace(CONFIG, frames=frames, num_envs=1))

    assert tried.count(1_000_002) == 1
    assert EpisodeStore(tmp_path).seeds.max() > 1_000_002


def test_an_environment_that_always_fails_is_an_error_not_a_loop(tmp_path, monkeypatch):
    def refuse(self, seed=None, options=None):
        raise RuntimeError("no\nserver")

    collect("Dot-v0", tmp_path, CONFIG)
    before = shards(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(UnsupportedEnvironmentError) as raised:
        patch.setattr(DotEnv, "reset", refuse)
        collect("Dot-v0", tmp_path, dataclasses.replace(CONFIG, frames=600))

    last = 1_000_000 + len(EpisodeStore(tmp_path)) + COLLECT.FAILURES_IN_A_ROW - 1
    assert "5 episodes in a row failed" in str(raised.value)
    assert f"Dot-v0 failed in the reset of the episode with seed {last}: RuntimeError: no server" in str(raised.value)
    assert isinstance(raised.value.__cause__, EpisodeError)
    assert isinstance(raised.value.__cause__.__cause__, RuntimeError)
    assert shards(tmp_path) == before
    assert list(EpisodeStore(tmp_path).failures) == list(range(last - COLLECT.FAILURES_IN_A_ROW + 1, last + 1))

    more = collect("Dot-v0", tmp_path, dataclasses.replace(CONFIG, frames=600))
    assert last + 1 in more.seeds
    assert last not in more.seeds


def test_mistakes_of_the_actor_are_no_failed_episodes(tmp_path):
    class Actor:
        def predict(self, *args):
            raise RuntimeError("not the environment's")

    with pytest.raises(RuntimeError, match="not the environment's"):
        collect("Dot-v0", tmp_path, CONFIG, make_actor=lambda seeds: Actor())

    assert EpisodeStore(tmp_path).failures == {}


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
    monkeypatch.setattr("dreamenv.data.player.ENDLESS_STEPS", 200)
    monkeypatch.setattr(DotEnv, "step", lambda self, action: (self._frame(), 0.0, False, False, {}))
    with pytest.raises(UnsupportedEnvironmentError, match="none in 200 steps .* without a time limit"):
        collect("Dot-v0", tmp_path, CONFIG)
    assert len(EpisodeStore(tmp_path)) == 0
