"""The real environment of a world: headless where there is no display, checked; and what it tells an evaluation."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch  # noqa: F401  Miniworld draws other pixels in processes without torch (Miniworld issue 142).
from gymnasium.envs.registration import find_highest_version, get_env_id, parse_env_id
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from dreamenv.envs.opengl import part_drawings
from dreamenv.envs.workers import WorkerVectorEnv
from dreamenv.episodes import StoreSpec
from dreamenv.errors import DreamenvError, EpisodeError, RenderingError, SettingsError, UnsupportedEnvironmentError
from dreamenv.spaces import ActionSpec

GL_PACKAGES = "libegl1 libgl1 libglu1-mesa libgl1-mesa-dri libfreetype6"
_REGISTERED_BY = {"MiniWorld-": "miniworld"}  # id prefix -> the module whose import registers it
_DRAWN_BY = {"miniworld.miniworld": "MiniWorldEnv"}  # the module that draws -> its class of all environments
_TARGET_OF = {"MiniWorld-": "box"}  # id prefix -> the environment's attribute that is to be reached
_LEAVE = "leave"  # option of a reset
_GRID = np.stack(np.meshgrid([-0.5, 0.0, 0.5], [0.0, 0.5, 1.0], [-0.5, 0.0, 0.5]), -1).reshape(-1, 3)  # of a unit box


@dataclass(frozen=True)
class Sight:
    """Where an agent stands and whether its target is in its frame; for evaluations, never for training.

    Attributes:
        position: On the ground, (x, z), in the environment's unit of length.
        heading: In radians; grows beyond a full turn.
        in_view: Whether some part of the target is within the frame, and no wall in between.
    """

    position: tuple[float, float]
    heading: float
    in_view: bool


def make_real(env_id: str, **kwargs: Any) -> gym.Env:
    """Makes a real environment, without a window where there is no display.

    Args:
        env_id: A Gymnasium id, ``module:id`` for environments that a module registers on import.
        **kwargs: For ``gymnasium.make``.

    Returns:
        An environment with (H, W, 3) uint8 observations and a Discrete or Box action space.

    Raises:
        UnsupportedEnvironmentError: If the id is unknown, an argument is missing or the spaces do not fit.
        RenderingError: If OpenGL is missing; names the Debian packages.
        TypeError: If the environment does not have an argument, as from ``gymnasium.make``.
    """
    _prepare_headless()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Miniworld prints its number of anti-aliasing samples
            _register(env_id)
            env = gym.make(env_id, **kwargs)
        for name, base in _DRAWN_BY.items():
            if library := sys.modules.get(name):
                part_drawings(library, base)
    except (gym.error.Error, ModuleNotFoundError) as error:
        raise UnsupportedEnvironmentError(
            f"expected the id of an installed environment, got {env_id!r}: {error}"
        ) from None
    except TypeError as error:
        if " missing " not in str(error):
            raise
        raise UnsupportedEnvironmentError(f"expected the arguments that {env_id!r} needs: {error}") from None
    except Exception as error:
        if _is_gl_failure(error):
            raise RenderingError(
                f"{env_id} cannot draw: OpenGL is missing or broken ({error}). "
                f"On Debian or Ubuntu: apt-get install {GL_PACKAGES}"
            ) from error
        raise
    try:
        describe(env, env_id)
    except UnsupportedEnvironmentError:
        env.close()
        raise
    return env


def make_real_vector(env_id: str, num_envs: int, processes: bool = False, **kwargs: Any) -> VectorEnv:
    """Makes ``num_envs`` copies that are reset by hand (autoreset disabled).

    Args:
        env_id: As for :func:`make_real`; processes need ``module:id`` where a module registers the id.
        num_envs: How many.
        processes: Run every one in a process of its own, see :class:`WorkerVectorEnv`; else all in this one.
        **kwargs: For ``gymnasium.make``.

    Raises:
        SettingsError: If there are to be none.
        WorkerError: If a process ends early.
    """
    if num_envs < 1:
        raise SettingsError(f"expected num_envs >= 1, got {num_envs}")
    make = functools.partial(_make_idler, env_id, **kwargs)
    if processes:
        return _Idlers(WorkerVectorEnv(make, num_envs, preload=__name__))
    return _Idlers(SyncVectorEnv([make] * num_envs, autoreset_mode=AutoresetMode.DISABLED))


class _Idlers(VectorWrapper):
    """Environments that can be spared the steps that nobody needs, as a vector has to step all that it holds."""

    def leave(self, mask: NDArray[np.bool_]) -> None:
        """Has the environments of a (N,) bool mask stand still until they are reset: they pay 0 and do not end."""
        self.env.reset(options={"reset_mask": mask, _LEAVE: True})


class _Idler(gym.Wrapper):
    """Shows its latest frame while it has left. A reset that is none tells it to: vectors step none that is done.

    What goes wrong within the environment becomes an :class:`EpisodeError`, as only here its seed is known for sure.
    """

    _left = False
    _frame: Any

    def __init__(self, env: gym.Env, env_id: str) -> None:
        super().__init__(env)
        self._env_id, self._steps = env_id, 0
        self._seed: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._left = _LEAVE in (options or {})
        if self._left:
            return self._frame, {}
        self._seed, self._steps = seed, 0
        with self._blame():
            self._frame, info = _checked("reset", self.env.reset(seed=seed, options=options), "observation, info")
        return self._frame, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        if self._left:
            return self._frame, 0.0, False, False, {}
        self._steps += 1
        with self._blame():
            result = _checked("step", self.env.step(action), "observation, reward, terminated, truncated, info")
            self._frame, reward, terminated, truncated, info = result
            finite = math.isfinite(reward)
        if not finite:
            raise EpisodeError(self._env_id, self._seed, self._steps, f"expected a finite reward, got {reward}")
        return self._frame, reward, terminated, truncated, info

    @contextlib.contextmanager
    def _blame(self) -> Iterator[None]:
        """Names environment, episode and step in what the environment raises; an action of another space is not its."""
        try:
            yield
        except (DreamenvError, gym.error.InvalidAction, MemoryError):
            raise
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise EpisodeError(self._env_id, self._seed, self._steps, reason) from error


def _checked(method: str, result: Any, names: str) -> tuple[Any, ...]:
    """Refuses what methods returned before Gymnasium."""
    count = len(result) if isinstance(result, tuple) else 1
    if count != len(names.split(", ")):
        kind = f"{count} values" if isinstance(result, tuple) else type(result).__name__
        raise TypeError(f"expected {method} to return ({names}), as Gymnasium asks, got {kind}")
    return result


def _make_idler(env_id: str, **kwargs: Any) -> gym.Env:
    return _Idler(make_real(env_id, **kwargs), env_id)


def named_by_world(env_id: str) -> str:
    """Passes the id that a world gives its environment, unless making it would import a module that the world names.

    Args:
        env_id: As a file says, which may come from a stranger; ``module:id`` only passes once ``module`` is imported.

    Raises:
        UnsupportedEnvironmentError: If it is not.
    """
    module, colon, _ = env_id.rpartition(":")
    if colon and module not in sys.modules:
        raise UnsupportedEnvironmentError(
            f"this world names {env_id!r}, and a world may not import anything: if you know {module!r}, import it "
            f"first; on the command line with --import {module}"
        )
    return env_id


def describe(env: gym.Env | VectorEnv, env_id: str) -> StoreSpec:
    """Says what a world has to know of a real environment, its id as it was asked for (with the module, if any).

    Args:
        env: An environment, or a vector of alike ones.
        env_id: Its id.

    Raises:
        UnsupportedEnvironmentError: If frames are not (H, W, 3) uint8, or actions not Discrete or a bounded Box.
    """
    if isinstance(env, VectorEnv):
        space, actions = env.single_observation_space, env.single_action_space
    else:
        space, actions = env.observation_space, env.action_space
    if not (
        isinstance(space, gym.spaces.Box) and len(space.shape) == 3 and space.shape[2] == 3 and space.dtype == np.uint8
    ):
        raise UnsupportedEnvironmentError(
            f"expected RGB observations Box(0, 255, (height, width, 3), uint8), got {space}; "
            "wrap the environment, for example in gymnasium.wrappers.AddRenderObservation"
        )
    height, width, _ = space.shape
    return StoreSpec(env_id, (height, width, 3), ActionSpec.from_space(actions), _time_limit(env_id))


def _time_limit(env_id: str) -> int | None:
    """The time limit that is registered for an id; without a version it stands for the latest one, as in Gymnasium."""
    namespace, name, version = parse_env_id(env_id.rpartition(":")[2])
    version = find_highest_version(namespace, name) if version is None else version
    registered = gym.registry.get(get_env_id(namespace, name, version))
    return registered.max_episode_steps if registered else None


def sight(env: gym.Env) -> Sight | None:
    """Reads where the agent of a real environment stands and what it has in view.

    Occlusion queries of the library itself (2.1.0) see a small cube at the target's foot only, so that a target right
    before the agent counts as hidden; and they cost nearly as much as a step.

    Args:
        env: A real environment that was reset.

    Returns:
        What it tells, None where it has no position or not exactly one target.
    """
    world: Any = env.unwrapped
    target = _target(world)
    if target is None:
        return None
    agent = world.agent
    return Sight((float(agent.pos[0]), float(agent.pos[2])), float(agent.dir), _in_view(world, target))


def _target(world: Any) -> Any:
    """The one thing of its kind that is to be reached; None where there is none, or several."""
    env_id = world.spec.id if world.spec else ""
    target = next((getattr(world, name, None) for start, name in _TARGET_OF.items() if env_id.startswith(start)), None)
    alike = [thing for thing in world.entities if type(thing) is type(target)] if target else []
    return target if len(alike) == 1 else None


def _in_view(world: Any, target: Any) -> bool:
    """Whether a point of a grid on the target is within the camera's field of view, and no wall before it."""
    camera, (height, width, _) = world.agent, world.observation_space.shape
    eye, ahead, right = camera.cam_pos, camera.cam_dir, camera.right_vec
    axes = np.stack([target.dir_vec, (0.0, 1.0, 0.0), target.right_vec])
    points = target.pos + (_GRID * target.size) @ axes - eye
    depth, across, along = (points @ axis for axis in (ahead, right, np.cross(right, ahead)))
    reach = depth * np.tan(np.radians(camera.cam_fov_y) / 2)
    inside = (depth > 0) & (abs(along) < reach) & (abs(across) < reach * width / height)
    return bool(inside.any()) and not _hidden(points[inside], world.wall_segs - eye).all()


def _hidden(points: NDArray, walls: NDArray) -> NDArray[np.bool_]:
    """Which of (P, 3) points lie behind one of (W, 2, 3) walls, seen from the origin; walls have no upper end."""
    ends, points = walls[:, :, (0, 2)], points[:, None, (0, 2)]
    start, end = ends[:, 0], ends[:, 1]
    astride = _cross(points, start) * _cross(points, end) < 0  # the line of sight parts the ends of the wall
    behind = _cross(end - start, -start) * _cross(end - start, points - start) < 0  # the wall parts eye and point
    return (astride & behind).any(1)


def _cross(one: NDArray, other: NDArray) -> NDArray:
    """Cross product of (..., 2) vectors."""
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


def _prepare_headless() -> None:
    """Tells pyglet, before anything imports its windows, to draw without a screen, and Mesa to do so in this thread.

    Small frames are drawn sooner than other threads are woken (docs/results/speed.md). What LP_NUM_THREADS is set to
    already holds, and other drivers than Mesa's for the processor do not read it.
    """
    if importlib.util.find_spec("pyglet") and not os.environ.get("DISPLAY"):
        import pyglet

        pyglet.options["headless"] = True
        os.environ.setdefault("LP_NUM_THREADS", "0")


def _register(env_id: str) -> None:
    for prefix, module in _REGISTERED_BY.items():
        if env_id.startswith(prefix):
            importlib.import_module(module)


def _is_gl_failure(error: Exception) -> bool:
    text = f"{type(error).__module__}.{type(error).__name__}: {error}".lower()
    return any(word in text for word in ("pyglet", "freetype", "libgl", "libegl", '"gl"', '"egl"', '"glu"', "opengl"))
