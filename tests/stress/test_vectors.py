"""The three kinds of vector environments give the same dreams, bit for bit, however they reset."""

import functools
import multiprocessing

import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import dreamenv

DREAMS = 3
SETTINGS = {"batch_invariant": True, "branched_starts": 0.9}


@pytest.fixture(params=["sidewalk", "continuous_world"])
def world(request):
    """One of full size, for products of small matrices round alike in batches of any size; and one of plain numbers."""
    return dreamenv.load("sidewalk") if request.param == "sidewalk" else request.getfixturevalue(request.param)


def single(folder):
    torch.set_num_threads(1)
    return dreamenv.DreamEnv(folder, **SETTINGS)


def advance(env, actions):
    """Everything that a step gives, and a reset by hand where it is called for."""
    observation, reward, terminated, truncated, info = env.step(actions.copy())
    parts = [observation, reward, terminated, truncated, info["temperature"]]
    done = terminated | truncated
    if done.any() and env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP:
        parts += [info["_final_obs"], *info["final_obs"][done], info["final_info"]["temperature"][done]]
    if done.any() and env.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
        parts.append(env.reset(options={"reset_mask": done})[0])
    return parts


def differing(mine, theirs):
    """How many of the parts differ, in a bit or in their type."""
    assert len(mine) == len(theirs)
    return sum(
        one.dtype != other.dtype or one.shape != other.shape or one.tobytes() != other.tobytes()
        for one, other in zip(mine, theirs, strict=True)
    )


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_native_sync_and_async_vectors_give_the_same_trajectories(world, mode, cases, figure):
    steps = cases(100, 10_000)
    multiprocessing.get_context("forkserver").set_forkserver_preload(["dreamenv"])
    make = [functools.partial(single, str(world.path))] * DREAMS
    native = dreamenv.DreamVectorEnv(world, DREAMS, autoreset_mode=mode, **SETTINGS)
    sync = SyncVectorEnv(make, autoreset_mode=mode)
    workers = AsyncVectorEnv(make, autoreset_mode=mode, context="forkserver")
    found = {"sync": 0, "async": 0}
    ends, first = 0, None
    expected = native.reset(seed=5)[0]
    for name, env in (("sync", sync), ("async", workers)):
        found[name] += differing([expected], [env.reset(seed=5)[0]])
    native.action_space.seed(6)
    for step in range(steps):
        actions = native.action_space.sample()
        expected = advance(native, actions)
        ends += int((expected[2] | expected[3]).sum())
        for name, env in (("sync", sync), ("async", workers)):
            if different := differing(expected, advance(env, actions)):
                found[name] += different
                first = first or (step, name)
    workers.close()
    world_of = "discrete" if world.config.action.discrete else "continuous"
    figure(f"{mode.value}, {world_of}: arrays that differ in {steps:,} steps, {ends:,} episodes", found, "0, 0")
    assert ends >= steps / 100
    assert not any(found.values()), f"first at {first}"
