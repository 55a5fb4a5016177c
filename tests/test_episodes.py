"""Episodes come back from the store as they went in, or not at all."""

import dataclasses
import json
import os
import shutil
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from dreamenv.data.episodes import Episode
from dreamenv.data.store import VALIDATION_EVERY, EpisodeStore
from dreamenv.foundation import files
from dreamenv.foundation.errors import StoreError
from dreamenv.foundation.files import TEMPORARY_PREFIX
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.real.spec import StoreSpec

DISCRETE = StoreSpec("Discrete-v0", (4, 6, 3), ActionSpec(n=3))
BOX = StoreSpec("Box-v0", (4, 6, 3), ActionSpec(low=(-1.0, 0.25), high=(1.0, 2.5)))
SPECS = pytest.mark.parametrize("spec", [DISCRETE, BOX], ids=["discrete", "box"])
ARRAYS = ("observations", "actions", "rewards")


def make_episode(spec, seed, length=None):
    generator = np.random.default_rng(seed)
    length = length or int(generator.integers(1, 9))
    return Episode(
        observations=generator.integers(0, 256, (length + 1, *spec.frame_shape), dtype=np.uint8),
        actions=np.stack([spec.action.sample(generator) for _ in range(length)]),
        rewards=generator.normal(size=length).astype(np.float32),
        terminated=bool(seed % 2),
        truncated=not seed % 2,
        seed=1_000_000 + seed,
        policy=f"policy-{seed}",
    )


def fill(folder, spec, shards):
    store = EpisodeStore.create(folder, spec)
    for seeds in shards:
        store.append([make_episode(spec, seed) for seed in seeds])
    return store  # the lock goes with it


def flip_byte(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


@SPECS
@pytest.mark.parametrize("reopened", [False, True])
def test_several_shards_round_trip_bitwise(tmp_path, spec, reopened):
    store = fill(tmp_path, spec, [range(3), range(3, 4), range(4, 9)])
    if reopened:
        store = EpisodeStore(tmp_path)

    episodes = list(store)

    assert len(store) == len(episodes) == 9
    for seed, episode in enumerate(episodes):
        expected = make_episode(spec, seed)
        for name in ARRAYS:
            stored, original = getattr(episode, name), getattr(expected, name)
            assert stored.dtype == original.dtype
            np.testing.assert_array_equal(stored, original)
        for name in ("terminated", "truncated", "seed", "policy"):
            assert getattr(episode, name) == getattr(expected, name)


@SPECS
def test_the_spec_round_trips(tmp_path, spec):
    EpisodeStore.create(tmp_path, spec)

    assert EpisodeStore(tmp_path).spec == spec


def test_sizes_are_counted_over_all_shards(tmp_path):
    store = fill(tmp_path, DISCRETE, [range(3), range(3, 7)])
    lengths = [len(make_episode(DISCRETE, seed)) for seed in range(7)]

    assert store.lengths.tolist() == lengths
    assert store.num_frames == sum(lengths) + 7
    assert len(store.shard_names) == 2


def test_an_empty_store_has_nothing(tmp_path):
    store = EpisodeStore.create(tmp_path, DISCRETE)

    assert (len(store), store.num_frames, len(store.shard_names), list(store)) == (0, 0, 0, [])


def test_frames_are_mapped_not_copied(tmp_path):
    fill(tmp_path, DISCRETE, [range(3)])
    store = EpisodeStore(tmp_path)

    (first, *_), (again, *_) = store, store

    assert np.shares_memory(first.observations, again.observations)
    assert next(tmp_path.glob("*.safetensors")).name in Path("/proc/self/maps").read_text()


def test_a_shard_carries_its_checksum_in_its_name(tmp_path):
    fill(tmp_path, DISCRETE, [range(3)])
    (path,) = tmp_path.glob("*.safetensors")
    path.rename(path.with_name("000000-" + "0" * 64 + ".safetensors"))

    with pytest.raises(StoreError, match="0" * 64):
        EpisodeStore(tmp_path)


@pytest.mark.parametrize("position", [0, 100, -1], ids=["length", "header", "data"])
@pytest.mark.parametrize("shard", [0, 1])
def test_a_flipped_byte_is_refused_and_the_shard_named(tmp_path, shard, position):
    fill(tmp_path, DISCRETE, [range(3), range(3, 6)])
    path = sorted(tmp_path.glob("*.safetensors"))[shard]
    flip_byte(path, position)

    with pytest.raises(StoreError, match=path.name):
        EpisodeStore(tmp_path)


def test_a_truncated_shard_is_refused(tmp_path):
    fill(tmp_path, DISCRETE, [range(3)])
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(StoreError, match=path.name):
        EpisodeStore(tmp_path)


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files that are hashed; every file counts as settled."""
    names, original = [], files.sha256
    monkeypatch.setattr(files, "SETTLED", -1.0)
    monkeypatch.setattr(files, "sha256", lambda path: names.append(path.name) or original(path))
    return names


def test_a_store_is_hashed_once_and_new_shards_then(tmp_path, hashed):
    store = fill(tmp_path, DISCRETE, [range(3), range(3, 6)])
    for _ in range(3):
        EpisodeStore(tmp_path)
    assert hashed == store.shard_names

    store.append([make_episode(DISCRETE, 6)])
    EpisodeStore(tmp_path)
    assert hashed == store.shard_names


DAMAGES = {
    "a flipped byte": lambda path: flip_byte(path, -1),
    "a flipped byte and the old time": lambda path: keeping_time(path, lambda: flip_byte(path, -1)),
    "a missing end": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "another file of its name": lambda path: (path.rename(path.with_name("old")), path.write_bytes(b"none")),
}


def keeping_time(path, change):
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_to_a_shard_that_was_verified_is_found(tmp_path, hashed, damage):
    store = fill(tmp_path, DISCRETE, [range(3), range(3, 6)])
    EpisodeStore(tmp_path)
    time.sleep(0.05)  # as file systems round times
    damage(tmp_path / store.shard_names[1])

    for _ in range(2):
        with pytest.raises(StoreError, match=store.shard_names[1]):
            EpisodeStore(tmp_path)


def test_a_copied_store_is_hashed_anew(tmp_path, hashed):
    store = fill(tmp_path / "one", DISCRETE, [range(3)])
    EpisodeStore(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    EpisodeStore(tmp_path / "two")

    assert hashed == 2 * store.shard_names


def test_a_shard_that_may_still_change_within_a_tick_of_the_clock_is_not_remembered(tmp_path):
    store = fill(tmp_path, DISCRETE, [range(3)])
    EpisodeStore(tmp_path)
    keeping_time(tmp_path / store.shard_names[0], lambda: flip_byte(tmp_path / store.shard_names[0], -1))

    assert not (tmp_path / ".verified.json").exists()
    with pytest.raises(StoreError, match=store.shard_names[0]):
        EpisodeStore(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "not json", '{"000000": 3}'])
def test_a_spoiled_record_of_verified_shards_only_costs_time(tmp_path, hashed, text):
    store = fill(tmp_path, DISCRETE, [range(3)])
    (tmp_path / ".verified.json").write_text(text)

    assert len(EpisodeStore(tmp_path)) == 3
    assert hashed == store.shard_names


def test_a_store_in_a_folder_that_cannot_be_written_can_be_read(tmp_path, hashed, monkeypatch):
    store = fill(tmp_path, DISCRETE, [range(3)])

    def refuse(*args, **kwargs):
        raise PermissionError("read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    for _ in range(2):
        assert len(EpisodeStore(tmp_path)) == 3
    assert hashed == 2 * store.shard_names


@SPECS
def test_a_shard_has_the_bytes_that_the_library_writes(tmp_path, spec):
    store = fill(tmp_path, spec, [range(4)])
    (path,) = tmp_path.glob("*.safetensors")
    episodes = list(store)
    tensors = {name: np.concatenate([getattr(episode, name) for episode in episodes]) for name in ARRAYS}
    tensors["lengths"] = np.array([len(episode) for episode in episodes])
    tensors["seeds"] = np.array([episode.seed for episode in episodes])
    for name in ("terminated", "truncated"):
        tensors[name] = np.array([getattr(episode, name) for episode in episodes])
    policies = json.dumps([episode.policy for episode in episodes])

    assert path.read_bytes() == safetensors.numpy.save(tensors, {"policies": policies})


def test_episodes_that_are_not_contiguous_are_written_right(tmp_path):
    episode = make_episode(BOX, 3, length=4)
    views = {name: np.repeat(getattr(episode, name), 2, axis=0)[::2] for name in ARRAYS}
    store = fill(tmp_path, BOX, [])
    store.append([dataclasses.replace(episode, **views)])

    (stored,) = EpisodeStore(tmp_path)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(stored, name), getattr(episode, name))


def test_failures_are_kept_by_seed(tmp_path):
    store = fill(tmp_path, DISCRETE, [range(3)])
    assert store.failures == {}
    store.set_aside(1_000_007, "it broke", "Traceback")
    store.set_aside(1_000_004, "it broke, too")

    assert list(EpisodeStore(tmp_path).failures) == [1_000_004, 1_000_007]
    assert store.failures[1_000_007] == {"reason": "it broke", "details": "Traceback"}

    (tmp_path / "set_aside.json").write_text("[]")
    with pytest.raises(StoreError, match="set_aside.json does not list episodes that failed"):
        _ = store.failures


@pytest.mark.parametrize(
    "other",
    [
        StoreSpec("Other-v0", (4, 6, 3), ActionSpec(n=3)),
        StoreSpec("Discrete-v0", (4, 7, 3), ActionSpec(n=3)),
        StoreSpec("Discrete-v0", (4, 6, 3), ActionSpec(n=4)),
    ],
    ids=["id", "frames", "actions"],
)
def test_episodes_of_another_environment_are_refused(tmp_path, other):
    fill(tmp_path, DISCRETE, [range(3)])

    with pytest.raises(StoreError, match="cannot add episodes of"):
        EpisodeStore.create(tmp_path, other)

    assert EpisodeStore(tmp_path).spec == DISCRETE


def test_a_missing_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no episodes in .*nowhere"):
        EpisodeStore(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{}", '{"env_id": 3}', "not json"])
def test_a_spec_that_says_something_else_is_refused(tmp_path, text):
    (tmp_path / "spec.json").write_text(text)

    with pytest.raises(StoreError, match="spec.json"):
        EpisodeStore(tmp_path)


def test_one_episode_in_ten_is_held_out(tmp_path):
    store = fill(tmp_path, DISCRETE, [range(13), range(13, 25)])

    training, validation = store.split()

    assert [len(training), len(validation)] == [23, 25 // VALIDATION_EVERY]
    assert {episode.seed for episode in training}.isdisjoint(episode.seed for episode in validation)


def test_an_episode_never_changes_sides(tmp_path):
    store = fill(tmp_path, DISCRETE, [range(13)])
    before = [{episode.seed for episode in side} for side in store.split()]
    for shard in (range(13, 14), range(14, 40)):
        store.append([make_episode(DISCRETE, seed) for seed in shard])

    after = [{episode.seed for episode in side} for side in EpisodeStore(tmp_path).split()]

    assert before[0] <= after[0]
    assert before[1] <= after[1]


def test_too_few_episodes_cannot_be_split(tmp_path):
    store = fill(tmp_path, DISCRETE, [range(VALIDATION_EVERY - 1)])

    with pytest.raises(StoreError, match=f"at least {VALIDATION_EVERY} .* got {VALIDATION_EVERY - 1}"):
        store.split()


def test_leftovers_of_killed_writers_are_ignored_when_reading(tmp_path):
    fill(tmp_path, DISCRETE, [range(3)])
    (tmp_path / (TEMPORARY_PREFIX + "x1")).write_bytes(b"half a shard")

    assert len(EpisodeStore(tmp_path)) == 3


def test_leftovers_of_killed_writers_are_cleaned_when_writing_goes_on(tmp_path):
    fill(tmp_path, DISCRETE, [range(3)])
    leftover = tmp_path / (TEMPORARY_PREFIX + "x1")
    leftover.write_bytes(b"half a shard")

    store = EpisodeStore.create(tmp_path, DISCRETE)

    assert not leftover.exists()
    assert len(store) == 3


def test_two_writers_are_refused(tmp_path):
    first = fill(tmp_path, DISCRETE, [range(3)])

    with pytest.raises(StoreError, match=f"another process is adding episodes to {tmp_path}"):
        EpisodeStore.create(tmp_path, DISCRETE)
    first.close()

    EpisodeStore.create(tmp_path, DISCRETE).append([make_episode(DISCRETE, 3)])
    assert len(EpisodeStore(tmp_path)) == 4


def test_a_refused_writer_keeps_nobody_out_while_its_error_lives(tmp_path):
    fill(tmp_path, DISCRETE, [range(3)]).close()

    with pytest.raises(StoreError) as kept:
        EpisodeStore.create(tmp_path, BOX)

    assert len(EpisodeStore.create(tmp_path, DISCRETE)) == 3
    assert "cannot add episodes of" in str(kept.value)


@pytest.mark.parametrize("open_again", [EpisodeStore, lambda folder: closed(fill(folder, DISCRETE, []))])
def test_only_a_writer_can_append(tmp_path, open_again):
    fill(tmp_path, DISCRETE, [range(3)])

    with pytest.raises(StoreError, match="EpisodeStore.create opens it for writing"):
        open_again(tmp_path).append([make_episode(DISCRETE, 3)])


def closed(store):
    store.close()
    return store


def test_a_deleted_shard_leaves_the_others_in_order(tmp_path):
    store = fill(tmp_path, DISCRETE, [range(3), range(3, 5), range(5, 9)])
    store.close()
    (tmp_path / store.shard_names[1]).unlink()

    store = fill(tmp_path, DISCRETE, [range(20, 21)])

    assert list(EpisodeStore(tmp_path).seeds - 1_000_000) == [0, 1, 2, 5, 6, 7, 8, 20]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rewards_that_are_not_finite_are_refused(tmp_path, value):
    store = fill(tmp_path, DISCRETE, [range(3)])
    episode = make_episode(DISCRETE, 3, length=4)
    episode.rewards[2] = value

    with pytest.raises(StoreError, match=f"expected finite rewards, got {value} in step 2"):
        store.append([episode])

    assert len(EpisodeStore(tmp_path)) == 3


NO_EPISODES = {
    "no step": (DISCRETE, lambda e: {"actions": e.actions[:0]}, "at least one step, got Episode.0 steps"),
    "a frame too few": (DISCRETE, lambda e: {"observations": e.observations[1:]}, r"\(5, 4, 6, 3\) uint8, got \(4, "),
    "other frames": (DISCRETE, lambda e: {"observations": e.observations[:, 1:]}, r"uint8, got \(5, 3, 6, 3\) uint8"),
    "frames of floats": (DISCRETE, lambda e: {"observations": e.observations / 255}, "6, 3. uint8, got .* float64"),
    "a reward too many": (DISCRETE, lambda e: {"rewards": np.zeros(5, np.float32)}, r"\(4,\) float32, got \(5,\)"),
    "rewards of doubles": (DISCRETE, lambda e: {"rewards": np.zeros(4)}, r"\(4,\) float32, got \(4,\) float64"),
    "short integers": (DISCRETE, lambda e: {"actions": e.actions.astype(np.int32)}, "int64, got .* int32"),
    "an action too high": (DISCRETE, lambda e: {"actions": np.arange(4)}, "actions from 0 to 2, got 0 to 3"),
    "an action too low": (DISCRETE, lambda e: {"actions": np.arange(4) - 2}, "actions from 0 to 2, got -2 to 1"),
    "double precision": (BOX, lambda e: {"actions": e.actions.astype(np.float64)}, "float32, got .* float64"),
    "an action out of bounds": (BOX, lambda e: {"actions": e.actions + np.float32(2.0)}, r"actions from \[-1\.    0"),
    "a dimension too few": (BOX, lambda e: {"actions": e.actions[:, :1]}, r"actions \(4, 2\) float32, got \(4, 1\)"),
}


@pytest.mark.parametrize(("spec", "change", "words"), NO_EPISODES.values(), ids=NO_EPISODES)
def test_what_is_no_episode_of_the_store_is_refused_and_the_store_stays(tmp_path, spec, change, words):
    store = fill(tmp_path, spec, [range(3)])
    good = make_episode(spec, 3, length=4)

    with pytest.raises(StoreError, match=f"expected .*{words}"):
        store.append([good, dataclasses.replace(good, **change(good))])
    store.append([good])

    with pytest.raises(StoreError, match="expected at least one episode"):
        store.append([])

    assert len(EpisodeStore(tmp_path)) == len(store) == 4


CHANGES = {
    "a tensor too many": lambda tensors: {**tensors, "more": torch.zeros(1)},
    "a tensor too few": lambda tensors: {n: t for n, t in tensors.items() if n != "seeds"},
    "another type": lambda tensors: {**tensors, "rewards": tensors["rewards"].double()},
    "frames that are missing": lambda tensors: {**tensors, "observations": tensors["observations"][1:]},
    "lengths that lie": lambda tensors: {**tensors, "lengths": tensors["lengths"] + 1},
    "negative lengths": lambda tensors: {**tensors, "lengths": tensors["lengths"] * torch.tensor([-1, 1, 1])},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_shard_that_is_none_is_refused_though_its_checksum_is_right(tmp_path, change):
    store = fill(tmp_path, DISCRETE, [range(3)])
    path = tmp_path / store.shard_names[0]
    data = safetensors.torch.save(change(safetensors.torch.load_file(path)), {"policies": '["a", "b", "c"]'})
    path.unlink()
    (tmp_path / f"000000-{sha256(data).hexdigest()}.safetensors").write_bytes(data)

    with pytest.raises(StoreError, match="is not a shard of episodes of Discrete-v0"):
        EpisodeStore(tmp_path)


def test_a_failed_append_stores_nothing(tmp_path, monkeypatch):
    store = fill(tmp_path, DISCRETE, [range(3)])

    def fail(*names):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("os.replace", fail)
        store.append([make_episode(DISCRETE, 3)])
    store.append([make_episode(DISCRETE, 4)])

    assert [episode.seed for episode in EpisodeStore(tmp_path)] == [1_000_000, 1_000_001, 1_000_002, 1_000_004]
    assert [episode.seed for episode in store] == [episode.seed for episode in EpisodeStore(tmp_path)]


def test_repr_says_how_long_how_much_and_how_it_ended():
    episode = make_episode(DISCRETE, 1, length=4)

    assert repr(episode).startswith("Episode(4 steps, return ")
    assert "terminated, seed 1000001, policy-1" in repr(episode)
