"""The Control suite from pixels: spaces, rewards of held actions, seeds, endings, and drawing beside Miniworld."""

import copy
import importlib.util
import json
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from benchmark_runs import run_benchmark
from gymnasium.utils.env_checker import check_env

import dreamenv
from dreamenv.data.explore import BumpStatistics, ExplorationConfig, Explorer
from dreamenv.foundation.errors import RenderingError, SettingsError, UnsupportedEnvironmentError
from dreamenv.real.make import describe, make_real_vector
from dreamenv.worlds.dmc import real
from dreamenv.worlds.dmc.real import ControlEnv, make_published
from dreamenv.worlds.dmc.tasks import STEPS, TASKS

FRAME = (64, 64, 3)
CARTPOLE = "dreamenv:CartpoleSwingup-v0"
SIZES = {"cartpole": 1, "reacher": 2, "cheetah": 6, "finger": 2, "ball_in_cup": 2, "walker": 6}  # of actions
EXTRA = r"pip install 'dreamenv\[dmc\]'"
needs_suite = pytest.mark.skipif(not importlib.util.find_spec("dm_control"), reason="the extra dmc is not installed")


@pytest.fixture
def make():
    """Makes tasks, and closes them after the test."""
    pytest.importorskip("dm_control")
    made = []

    def open_task(*arguments, **keywords):
        made.append(ControlEnv(*arguments, **keywords))
        return made[-1]

    yield open_task
    for env in made:
        env.close()


@pytest.fixture
def cartpole(make):
    return make("cartpole", "swingup", 8)


def actions(env, number, seed=0):
    """Uniformly random actions, (number, A)."""
    space = env.action_space
    return np.random.default_rng(seed).uniform(space.low, space.high, (number, *space.shape)).astype(np.float32)


def play(env, seed, number=4):
    """The frames and rewards of a beginning."""
    frames, rewards = [env.reset(seed=seed)[0]], []
    for action in actions(env, number):
        frame, reward, *_ = env.step(action)
        frames.append(frame)
        rewards.append(reward)
    return np.stack(frames), rewards


def same(one, other):
    return np.array_equal(one[0], other[0]) and one[1] == other[1]


def test_gymnasiums_checker_accepts_it(make):
    check_env(make("ball_in_cup", "catch", 100, render_mode="rgb_array"), skip_render_check=True)


@needs_suite
@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_its_frames_actions_and_time_limit_in_decisions(name):
    env = dreamenv.make_real(f"dreamenv:{name}-v0")
    spec = describe(env, f"dreamenv:{name}-v0")
    env.close()
    size = SIZES[TASKS[name].domain]

    assert spec.frame_shape == FRAME and env.action_space.dtype == np.float32
    assert (spec.action.low, spec.action.high) == ((-1.0,) * size, (1.0,) * size)
    assert spec.max_episode_steps == STEPS / TASKS[name].action_repeat


def test_action_repeats_are_those_of_planet():
    repeats = {task.domain: task.action_repeat for task in TASKS.values()}

    assert repeats == {"cartpole": 8, "reacher": 4, "cheetah": 4, "finger": 2, "ball_in_cup": 4, "walker": 2}


@pytest.mark.parametrize(("domain", "task", "repeat"), [("cartpole", "swingup", 8), ("walker", "walk", 2)])
def test_a_decision_pays_the_sum_of_the_single_steps_and_shows_the_last(make, domain, task, repeat):
    from dm_control import suite

    env, single = make(domain, task, repeat), suite.load(domain, task, task_kwargs={"random": 7})
    single.physics.model.vis.quality.shadowsize = real.SHADOWS
    env.reset(seed=7)
    single.reset()
    for action in actions(env, 5):
        frame, reward, *_ = env.step(action)
        assert reward == sum(single.step(action).reward for _ in range(repeat))
    picture = single.physics.render(64, 64, camera_id=0)

    assert np.array_equal(frame, picture) and frame.std() > 5 and 0.0 < reward <= repeat
    single.physics.free()


def test_a_seed_fixes_the_episode_whatever_came_before(make, cartpole):
    first = play(cartpole, 3)
    play(cartpole, 4)

    assert same(play(cartpole, 3), first) and same(play(make("cartpole", "swingup", 8), 3), first)
    assert not np.array_equal(play(cartpole, 4)[0][0], first[0][0])


def test_without_a_seed_the_generator_goes_on(cartpole):
    def three():
        return [cartpole.reset(seed=seed)[0] for seed in (5, None, None)]

    one, other = three(), three()
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    assert len({frame.tobytes() for frame in one}) == 3


@pytest.mark.parametrize("repeat", [8, 300])
def test_it_is_truncated_after_a_thousand_environment_steps(make, repeat):
    env = make("cartpole", "balance", repeat)
    env.reset(seed=0)
    ends, total = [], 0.0
    while not ends or ends[-1] == (False, False):
        reward, *end = env.advance(np.zeros(1, np.float32))
        ends.append(tuple(end))
        total += reward

    assert ends == [(False, False)] * (len(ends) - 1) + [(False, True)] and len(ends) == -(-STEPS // repeat)
    assert 0.0 < total <= STEPS
    with pytest.raises(gym.error.ResetNeeded):
        env.advance(np.zeros(1, np.float32))


def test_a_task_that_ends_with_discount_zero_terminates(cartpole, monkeypatch):
    cartpole.reset(seed=0)
    monkeypatch.setattr(cartpole._task.task, "get_termination", lambda physics: 0.0)

    assert cartpole.advance(np.zeros(1, np.float32))[1:] == (True, False)


@needs_suite
def test_an_id_without_an_action_repeat_takes_any_task():
    env = dreamenv.make_real("dreamenv:DMC-v0", domain="pendulum", task="swingup", action_repeat=2)
    assert env.reset(seed=0)[0].shape == FRAME and env.action_space.shape == (1,)
    env.close()


@needs_suite
def test_processes_play_the_same_episodes():
    here, there = (make_real_vector(CARTPOLE, 2, processes) for processes in (False, True))
    results = []
    for env in (here, there):
        frames = [env.reset(seed=[1, 2])[0].copy()]
        for action in actions(env, 3):
            frame, reward, *_ = env.step(action)
            frames.append(frame.copy())
            results.append(reward.tolist())
        results.append(np.stack(frames).tobytes())
        env.close()

    assert results[:4] == results[4:]


def test_it_draws_its_own_frames_beside_miniworld(cartpole):
    first = play(cartpole, 3)
    other = dreamenv.make_real("MiniWorld-Sidewalk-v0")
    frame = other.reset(seed=1)[0]

    assert same(play(cartpole, 3), first)
    assert np.array_equal(other.reset(seed=1)[0], frame)
    other.close()


@pytest.mark.parametrize(("domain", "task", "repeat"), [("cartpole", "swingup", 8), ("walker", "walk", 2)])
def test_its_smaller_map_of_shadows_hardly_changes_the_frames(make, monkeypatch, domain, task, repeat):
    small = play(make(domain, task, repeat), 0)[0].astype(int)
    with monkeypatch.context() as patch:
        patch.setattr(real, "SHADOWS", 2048)  # the suite's own
        own = play(make(domain, task, repeat), 0)[0].astype(int)
    with monkeypatch.context() as patch:
        patch.setattr(real, "SHADOWS", 0)
        without = play(make(domain, task, repeat), 0)[0].astype(int)

    assert np.abs(small - own).mean() < 0.1 < np.abs(without - own).mean()


def test_a_copy_is_a_new_environment(cartpole):
    copied = copy.deepcopy(cartpole)
    assert same(play(copied, 3), play(cartpole, 3))
    copied.close()


def test_its_picture_is_the_latest_frame(make):
    env = make("cartpole", "swingup", 8, render_mode="rgb_array")
    with pytest.raises(gym.error.ResetNeeded):
        env.render()
    assert np.array_equal(env.reset(seed=0)[0], env.render())


@pytest.mark.parametrize("wrong", [[1.5], [np.nan], [0.0, 0.0], 0.0], ids=str)
def test_other_actions_are_refused(cartpole, wrong):
    cartpole.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="expected an action in Box"):
        cartpole.step(np.array(wrong, np.float32))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("cartpole", "fly", 8), UnsupportedEnvironmentError, "expected one of the tasks .*'swingup'.* and task 'fly'"),
        (("kart", "swingup", 8), UnsupportedEnvironmentError, "expected a domain in .*'cartpole'.* got domain 'kart'"),
        (("cartpole", "swingup", 0), SettingsError, "expected an action_repeat of 1 to 1,000 steps, got 0"),
        (("cartpole", "swingup", 1001), SettingsError, "got 1001"),
        (("cartpole", "swingup", 2.5), SettingsError, "got 2.5"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(make, arguments, error, words):
    with pytest.raises(error, match=words):
        make(*arguments)


def test_a_seed_that_numpy_does_not_take_is_refused(cartpole):
    with pytest.raises(SettingsError, match="expected a seed of at most 4,294,967,295"):
        cartpole.reset(seed=2**32)


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dm_control", None)

    with pytest.raises(UnsupportedEnvironmentError, match=EXTRA):
        make_published("CartpoleSwingup")
    with pytest.raises(UnsupportedEnvironmentError, match=EXTRA):
        dreamenv.make_real(CARTPOLE)


@needs_suite
def test_without_egl_the_error_names_the_debian_packages():
    script = f"import dreamenv; dreamenv.make_real({CARTPOLE!r})"
    surroundings = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MUJOCO_GL")}
    surroundings["__EGL_VENDOR_LIBRARY_FILENAMES"] = os.devnull
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=surroundings)

    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(f"dreamenv.foundation.errors.{RenderingError.__name__}: the DeepMind Control suite cannot")
    assert "MUJOCO_GL=egl" in last and "apt-get install libegl1" in last


def test_uniform_actions_at_every_decision_are_sticky_ones_held_for_one(cartpole):
    spec = describe(cartpole, CARTPOLE).action
    config = ExplorationConfig(bump_and_turn=0.0, preference=0.0, sticky=1.0, hold=(1,), correlated=0.0)
    explorer = Explorer(spec, config, BumpStatistics(spec), [1])
    chosen = [explorer.predict(np.zeros((1, *FRAME), np.uint8), None, np.array([i == 0]))[0] for i in range(2000)]

    values = np.concatenate(chosen).ravel()
    assert (
        len(np.unique(values)) > 1990 and abs(values.mean()) < 0.05 and values.std() == pytest.approx(3**-0.5, abs=0.02)
    )
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.06


@needs_suite
def test_its_speed_is_measured(tmp_path):
    printed = run_benchmark("speed.dmc", f"--tasks ReacherEasy --decisions 3 --out {tmp_path}/speed.json")

    (row,) = json.loads((tmp_path / "speed.json").read_text())
    assert "ReacherEasy" in printed and row["steps"] == 4 and row["not drawn"] > row["drawn"] > 0
