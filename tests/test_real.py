"""Making real environments: headless, checked, and with errors that say what to do."""

import importlib
import multiprocessing
import os

import gymnasium as gym
import numpy as np
import pyglet
import pytest
from dot_env import HEIGHT, WIDTH, DotEnv
from gymnasium.envs.registration import EnvSpec

import dreamenv
from dreamenv import make_real
from dreamenv.evaluate.scores import ConstantPolicy
from dreamenv.foundation.errors import EpisodeError, RenderingError, UnsupportedEnvironmentError, WorkerError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.real.make import describe, make_real_vector
from dreamenv.rollouts import rollout


class Stub(gym.Env):
    """Spaces to choose, and a flag that tells whether it was closed."""

    closed = 0

    def __init__(self, observation_space=None, action_space=None):
        self.observation_space = observation_space or gym.spaces.Box(0, 255, (8, 8, 3), np.uint8)
        self.action_space = action_space or gym.spaces.Discrete(2)

    def close(self):
        Stub.closed += 1


@pytest.fixture
def stub(monkeypatch):
    """``stub(**spaces)`` makes the next ``gym.make`` give a stub with these spaces."""

    def arrange(**spaces):
        Stub.closed = 0
        monkeypatch.setattr(gym, "make", lambda env_id, **kwargs: Stub(**spaces))

    return arrange


@pytest.fixture
def failing_make(monkeypatch):
    """``failing_make(error)`` makes ``gym.make`` raise."""

    def arrange(error):
        def fail(env_id, **kwargs):
            raise error

        monkeypatch.setattr(gym, "make", fail)

    return arrange


@pytest.mark.parametrize(("env_id", "actions"), [("MiniWorld-Sidewalk-v0", 3), ("MiniWorld-Hallway-v0", 3)])
def test_miniworld_draws_without_a_display(monkeypatch, capfd, env_id, actions):
    monkeypatch.delenv("DISPLAY", raising=False)
    env = make_real(env_id, render_mode="rgb_array")
    assert describe(env, env_id) == dreamenv.real.spec.StoreSpec(env_id, (60, 80, 3), ActionSpec(n=actions))
    frame, _ = env.reset(seed=7)
    steps = [env.step(2)[0] for _ in range(3)]
    picture = env.render()
    assert frame.dtype == np.uint8
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 20
    assert picture.ndim == 3 and picture.dtype == np.uint8 and picture.std() > 5

    env.reset(seed=8)
    again, _ = env.reset(seed=7)
    assert np.array_equal(again, frame)
    assert all(np.array_equal(env.step(2)[0], step) for step in steps)
    env.close()
    assert capfd.readouterr().out == ""


def test_a_second_miniworld_draws_the_same_frames():
    one, other = make_real("MiniWorld-Sidewalk-v0"), make_real("MiniWorld-Sidewalk-v0")
    assert np.array_equal(one.reset(seed=3)[0], other.reset(seed=3)[0])
    assert np.array_equal(one.step(0)[0], other.step(0)[0])
    one.close()
    other.close()


@pytest.mark.parametrize(
    "error",
    [
        ImportError('Library "GLU" not found.'),
        ImportError('Library "GL" not found.'),
        ImportError("libEGL.so.1: cannot open shared object file: No such file or directory"),
        OSError("libGL.so.1: cannot open shared object file"),
    ],
    ids=str,
)
def test_missing_opengl_names_the_debian_packages(failing_make, error):
    failing_make(error)
    with pytest.raises(RenderingError) as raised:
        make_real("MiniWorld-Sidewalk-v0")
    message = str(raised.value)
    assert message.startswith("MiniWorld-Sidewalk-v0 cannot draw: OpenGL is missing or broken")
    assert str(error) in message
    assert "apt-get install libegl1 libgl1 libglu1-mesa libgl1-mesa-dri" in message


def test_other_failures_are_not_blamed_on_opengl(failing_make):
    failing_make(ZeroDivisionError("of its own"))
    with pytest.raises(ZeroDivisionError, match="of its own"):
        make_real("Dot-v0")


def test_an_unknown_id_is_refused_by_name():
    with pytest.raises(UnsupportedEnvironmentError, match="installed environment, got 'NoSuchThing-v0'"):
        make_real("NoSuchThing-v0")


def test_an_environment_that_wants_more_than_its_id_is_refused_by_name():
    with pytest.raises(UnsupportedEnvironmentError, match="'dreamenv:Dream-v0'.*world"):
        make_real("dreamenv:Dream-v0")


def test_an_unknown_argument_is_the_type_error_that_gymnasium_raises():
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'"):  # TorchRL reads these words
        make_real("dot_env:Dot-v0", frameskip=4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'"):
        make_real_vector("dot_env:Dot-v0", 1, frameskip=4)


def test_an_unknown_module_is_refused_by_name():
    with pytest.raises(UnsupportedEnvironmentError, match="no_such_module"):
        make_real("no_such_module:Thing-v0")


def test_an_environment_with_missing_dependencies_is_refused_with_the_reason(failing_make):
    failing_make(gym.error.DependencyNotInstalled("Box2D is not installed"))
    with pytest.raises(UnsupportedEnvironmentError, match="'CarRacing-v3': Box2D is not installed"):
        make_real("CarRacing-v3")


def test_an_environment_without_frames_is_refused_with_a_remedy():
    with pytest.raises(UnsupportedEnvironmentError, match=r"expected RGB .* got Box.*\(4,\).*AddRenderObservation"):
        make_real("CartPole-v1")


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Box(0, 255, (8, 8), np.uint8),
        gym.spaces.Box(0, 255, (8, 8, 1), np.uint8),
        gym.spaces.Box(0, 255, (3, 8, 8), np.uint8),
        gym.spaces.Box(0, 1, (8, 8, 3), np.float32),
        gym.spaces.Discrete(5),
        gym.spaces.Dict({"image": gym.spaces.Box(0, 255, (8, 8, 3), np.uint8)}),
    ],
    ids=str,
)
def test_observations_other_than_rgb_bytes_are_refused_and_the_environment_closed(stub, space):
    stub(observation_space=space)
    with pytest.raises(UnsupportedEnvironmentError, match="expected RGB observations"):
        make_real("Stub-v0")
    assert Stub.closed == 1


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.MultiDiscrete([2, 2]),
        gym.spaces.Discrete(3, start=1),
        gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
        gym.spaces.Box(-1, 1, (2, 2), np.float32),
        gym.spaces.Box(0, 10, (2,), np.int64),
        gym.spaces.MultiBinary(2),
    ],
    ids=str,
)
def test_actions_other_than_discrete_or_a_bounded_box_are_refused(stub, space):
    stub(action_space=space)
    with pytest.raises(UnsupportedEnvironmentError, match="expected an action space Discrete"):
        make_real("Stub-v0")
    assert Stub.closed == 1


def test_a_module_id_registers_its_environment():
    env = make_real("dot_env:Dot-v0")
    assert describe(env, "dot_env:Dot-v0") == dreamenv.real.spec.StoreSpec(
        "dot_env:Dot-v0", (16, 32, 3), ActionSpec(n=3)
    )


@pytest.mark.parametrize("many", [False, True])
def test_an_id_without_a_version_has_the_time_limit_of_the_latest_one(monkeypatch, many):
    for version, limit in enumerate((7, 9)):
        spec = EnvSpec(f"Limited-v{version}", DotEnv, max_episode_steps=limit)
        monkeypatch.setitem(gym.registry, spec.id, spec)
    with pytest.warns(UserWarning, match="Using the latest versioned environment `Limited-v1`"):
        env = make_real_vector("dot_env:Limited", 2) if many else make_real("dot_env:Limited")
    assert describe(env, "dot_env:Limited").max_episode_steps == 9


def test_keywords_reach_the_environment():
    assert make_real("Dot-v0", continuous=True).action_space == gym.spaces.Box(-1.0, 1.0, (1,), np.float32)


def test_a_vector_of_real_environments_is_reset_by_hand():
    env = make_real_vector("Dot-v0", 3)
    assert env.num_envs == 3
    assert env.metadata["autoreset_mode"] is gym.vector.AutoresetMode.DISABLED
    assert env.reset(seed=0)[0].shape == (3, 16, 32, 3)


def test_environments_in_processes_act_as_those_in_this_one(random_actions):
    here, there = (make_real_vector("dot_env:Dot-v0", 3, processes) for processes in (False, True))
    assert describe(here, "Dot-v0") == describe(there, "Dot-v0")
    assert there.metadata["autoreset_mode"] is gym.vector.AutoresetMode.DISABLED
    assert np.array_equal(here.reset(seed=[4, 5, 6])[0], there.reset(seed=[4, 5, 6])[0])
    for action in random_actions(here.action_space, 40):
        results = here.step(action), there.step(action)
        assert all(np.array_equal(one, other) for one, other in zip(*(result[:4] for result in results), strict=True))
        done = results[0][2] | results[0][3]
        if done.any():
            frames = (env.reset(seed=7, options={"reset_mask": done.copy()})[0] for env in (here, there))
            assert np.array_equal(*frames)
    there.close()


@pytest.mark.parametrize("processes", [False, True])
def test_environments_that_left_stand_still_until_they_are_reset(processes):
    env = make_real_vector("dot_env:Dot-v0", 3, processes)
    before, _ = env.reset(seed=[1, 2, 3])
    env.leave(np.array([False, True, False]))
    after, reward, terminated, truncated, _ = env.step(np.zeros(3, int))
    assert np.array_equal((before != after).any((1, 2, 3)), [True, False, True])
    assert (reward[1], terminated[1], truncated[1]) == (0.0, False, False)
    frames, _ = env.reset(seed=[1, 2, 3], options={"reset_mask": np.array([True, True, False])})
    assert np.array_equal(frames[:2], before[:2])
    assert not np.array_equal(env.step(np.zeros(3, int))[0][1], before[1])
    env.close()


def test_no_real_step_is_taken_without_an_episode(monkeypatch):
    steps, step = [], DotEnv.step
    monkeypatch.setattr(DotEnv, "step", lambda env, action: steps.append(action) or step(env, action))
    env = make_real_vector("Dot-v0", 4)
    outcomes = list(rollout(env, ConstantPolicy(0), range(6)))
    assert len(steps) == sum(outcome.length for outcome in outcomes)


def test_an_environment_that_fails_in_its_process_says_why_and_where():
    env = make_real_vector("dot_env:Dot-v0", 2, processes=True)
    env.reset(seed=0)
    with pytest.raises(EpisodeError, match="cannot convert") as raised:
        env.step(np.array([0.0, np.nan]))
    assert "In worker process 1" in raised.value.__notes__[0]
    env.close()
    assert multiprocessing.active_children() == []


FRAME = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


MISTAKES = {  # what an environment may do wrong -> the method, its replacement, the step and the words
    "a crash": ("step", lambda self, action: 1 // 0, 1, "ZeroDivisionError: integer division"),
    "a crash of the reset": ("reset", lambda self, **_: {}["a"], 0, "KeyError: 'a'"),
    "the old reset": (
        "reset",
        lambda self, **_: FRAME,
        0,
        r"TypeError: expected reset to return .observation, info., .* got ndarray",
    ),
    "no seed": ("reset", lambda self: (FRAME, {}), 0, "TypeError: .* keyword argument 'seed'"),
    "the old step": (
        "step",
        lambda self, _: (FRAME, 0.0, False),
        1,
        "(TypeError: expected step to return|Error: Expected)",
    ),
    "a NaN reward": ("step", lambda self, _: (FRAME, np.nan, False, False, {}), 1, "expected a finite reward, got nan"),
    "no reward": ("step", lambda self, _: (FRAME, None, False, False, {}), 1, "TypeError: .*"),
}


@pytest.mark.parametrize(("method", "mistake", "step", "words"), MISTAKES.values(), ids=MISTAKES)
@pytest.mark.filterwarnings("ignore:.*WARN")
def test_a_mistake_of_an_environment_names_environment_seed_and_step(monkeypatch, method, mistake, step, words):
    monkeypatch.setattr(DotEnv, method, mistake)
    env = make_real_vector("Dot-v0", 2)
    with pytest.raises(EpisodeError, match=f"Dot-v0 failed in .* of the episode with seed 7: {words}") as raised:
        env.reset(seed=[7, 8])
        env.step(np.zeros(2, int))
    assert (raised.value.seed, raised.value.step) == (7, step)
    assert "\n" not in str(raised.value)
    assert (raised.value.__cause__ is None) == (words == "expected a finite reward, got nan")


def test_a_mistake_in_a_process_is_the_lowest_one_and_keeps_its_traceback():
    for _ in range(3):  # the order in which processes fail changes nothing
        env = make_real_vector("dot_env:Dot-v0", 3, processes=True)
        env.reset(seed=[7, 8, 9])
        with pytest.raises(EpisodeError, match="with seed 8: ValueError: cannot convert") as raised:
            env.step(np.array([0.0, np.nan, np.nan]))
        assert "in step" in str(raised.value.__cause__)
        env.close()


def test_an_action_of_another_space_is_no_mistake_of_the_environment(monkeypatch):
    def refuse(self, action):
        raise gym.error.InvalidAction("expected another action")

    monkeypatch.setattr(DotEnv, "step", refuse)
    env = make_real_vector("Dot-v0", 1)
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction):
        env.step(np.zeros(1, int))


def test_an_environment_that_no_process_can_make_is_an_error():
    importlib.import_module("dot_env")
    with pytest.raises(WorkerError, match="expected worker process 0 to keep running, but it ended with status 1"):
        make_real_vector("Dot-v0", 2, processes=True)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("env_id", ["MiniWorld-Sidewalk-v0", "MiniWorld-MazeS3Fast-v0"])
def test_frames_do_not_depend_on_other_environments_in_the_process(env_id, random_actions):
    alone = make_real(env_id)
    actions = random_actions(alone.action_space, 25)
    expected = [alone.reset(seed=7)[0], *(alone.step(action)[0] for action in actions)]
    alone.close()

    crowd = [make_real(env_id) for _ in range(8)]
    frames = [[env.reset(seed=7 + number)[0] for number, env in enumerate(crowd)][0]]
    for number, action in enumerate(actions):
        frames.append([env.step(action)[0] for env in crowd][0])
        crowd[1 + number % 7].reset(seed=100 + number)
    for env in crowd:
        env.close()

    assert len({frame.tobytes() for frame in frames}) > 10
    assert all(np.array_equal(one, other) for one, other in zip(frames, expected, strict=True))


@pytest.mark.parametrize(("display", "headless"), [(":0", False), ("", True)])
def test_a_display_is_used_where_there_is_one(monkeypatch, display, headless):
    monkeypatch.setitem(pyglet.options, "headless", False)
    monkeypatch.setenv("DISPLAY", display)
    make_real("dot_env:Dot-v0").close()
    assert pyglet.options["headless"] is headless


@pytest.mark.parametrize(("given", "threads"), [(None, "0"), ("3", "3")])
def test_mesa_draws_in_the_calling_thread_unless_told_otherwise(monkeypatch, given, threads):
    monkeypatch.setitem(pyglet.options, "headless", True)
    monkeypatch.setenv("DISPLAY", "")
    monkeypatch.setenv("LP_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("LP_NUM_THREADS")
    dreamenv.make_real("MiniWorld-Sidewalk-v0").close()
    assert os.environ["LP_NUM_THREADS"] == threads


def test_a_vector_of_none_is_refused():
    with pytest.raises(ValueError, match="num_envs >= 1, got 0"):
        make_real_vector("dot_env:Dot-v0", 0)
