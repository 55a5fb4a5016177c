"""The memory task: frames, actions, endings, and poses from which cue and fork are in view."""

import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import dreamenv
from dreamenv.foundation.errors import UnsupportedEnvironmentError
from dreamenv.real.make import describe
from dreamenv.worlds.memory.real import FORWARD, LEFT, RIGHT, SIZE, START, STEPS, make_memory

MIDDLE, FORK = SIZE // 2, SIZE - 2  # row of the corridor, column of the fork


@pytest.fixture
def task():
    pytest.importorskip("minigrid")
    env = dreamenv.make_real("dreamenv:Memory-v0")
    yield env
    env.close()


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
@pytest.mark.filterwarnings("ignore:.*maximum episode steps")
def test_it_is_an_environment_by_gymnasiums_own_check(task):
    check_env(task, skip_render_check=True)


def test_worlds_read_its_frames_actions_and_time_limit(task):
    spec = describe(task, "dreamenv:Memory-v0")

    assert (spec.frame_shape, spec.action.n, spec.max_episode_steps) == ((56, 56, 3), 3, STEPS)


def test_other_actions_are_refused(task):
    task.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction):
        task.step(3)


def place(task, column, direction):
    """Puts the agent into the corridor's row; returns the frame."""
    grid = task.unwrapped
    grid.agent_pos, grid.agent_dir = np.array((column, MIDDLE)), direction
    return frame_of(task)


def frame_of(task):
    """The frame of the present pose."""
    return task.unwrapped.get_frame(tile_size=8, agent_pov=True)


def in_view(task, column, row):
    """Whether removing the object of a tile changes the frame."""
    grid, before = task.unwrapped.grid, frame_of(task)
    thing = grid.get(column, row)
    grid.set(column, row, None)
    after = frame_of(task)
    grid.set(column, row, thing)
    return not np.array_equal(before, after)


def seen_from(task):
    """Poses in the corridor's row -> whether the cue, and whether an object at the fork, is in view."""
    found = {}
    for column in range(1, FORK + 1):
        for direction in range(4):
            place(task, column, direction)
            fork = [in_view(task, FORK, MIDDLE + side) for side in (-2, 2)]
            found[column, direction] = in_view(task, 1, MIDDLE - 1), any(fork)
    return found


def test_the_frame_is_the_view_of_the_pose(task):
    frame, _ = task.reset(seed=3)

    assert np.array_equal(frame, frame_of(task))


def test_episodes_start_beside_the_cue_which_is_in_view(task):
    for seed in range(12):
        task.reset(seed=seed)

        assert tuple(task.unwrapped.agent_pos) == START and in_view(task, 1, MIDDLE - 1)


def test_the_cue_is_out_of_view_where_the_side_is_chosen(task):
    task.reset(seed=0)
    seen = seen_from(task)

    assert not any(cue and fork for cue, fork in seen.values())
    assert not any(seen[column, direction][0] for column in (FORK - 1, FORK) for direction in range(4))
    assert all(seen[FORK - 1, direction][1] for direction in (0, 3)) and seen[1, 0] == (True, False)


def test_in_smaller_variants_the_cue_is_in_view_at_the_fork():
    pytest.importorskip("minigrid")
    task = gym.make("MiniGrid-MemoryS9-v0")
    task.reset(seed=0)
    task.unwrapped.agent_pos, task.unwrapped.agent_dir = np.array((7, 4)), 2

    assert in_view(task, 1, 3) and in_view(task, 7, 2)


def test_the_side_of_the_cues_twin_succeeds_and_the_other_side_fails(task):
    endings = set()
    for seed in range(12):
        task.reset(seed=seed)
        grid = task.unwrapped.grid
        cue, upper = grid.get(1, MIDDLE - 1).type, grid.get(FORK, MIDDLE - 2).type
        place(task, FORK, 0)
        task.step(LEFT)
        _, reward, terminated, truncated, _ = task.step(FORWARD)
        assert terminated and not truncated
        assert reward == (pytest.approx(1 - 0.9 * 2 / STEPS) if cue == upper else 0)
        endings.add((cue, upper))

    assert len(endings) == 4


def test_an_episode_ends_at_the_time_limit(task):
    task.reset(seed=0)
    steps = [task.step(RIGHT)[2:4] for _ in range(STEPS)]

    assert steps == [(False, False)] * (STEPS - 1) + [(False, True)]


def test_without_minigrid_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "minigrid", None)
    monkeypatch.setitem(sys.modules, "minigrid.envs.memory", None)

    with pytest.raises(UnsupportedEnvironmentError, match=r"pip install 'dreamenv\[minigrid\]'"):
        make_memory()
