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

from dreamenv.foundation.errors import (
    DreamenvError,
    EpisodeError,
    RenderingError,
    SettingsError,
    UnsupportedEnvironmentError,
)
from dreamenv.foundation.recipe import EnvRecipe, as_recipe
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.real.frames import RGBObservation
from dreamenv.real.named import check_named_by_world, wrap
from dreamenv.real.opengl import part_drawings
from dreamenv.real.spec import StoreSpec
from dreamenv.real.workers import WorkerVectorEnv

GL_PACKAGES = "libegl1 libgl1 libglu1-mesa libgl1-mesa-dri libfreetype6"
_REGISTERED_BY = {  # id prefix -> the module whose import registers it
    "MiniWorld-": "miniworld",
    "MiniGrid-": "minigrid",
    "BabyAI-": "minigrid",
}
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


def make_real(env_id: str | EnvRecipe, **kwargs: Any) -> gym.Env:
    """Makes a real environment, without a window where there is no display.

    Args:
        env_id: A Gymnasium id, ``module:id`` for environments that a module registers on import; or a recipe, whose
            wrappers are imported and applied.
        **kwargs: For ``gymnasium.make``; they precede those of the recipe.

    Returns:
        An environment with (H, W, 3) uint8 observations, see :class:`RGBObservation`, and a Discrete or Box action
        space.

    Raises:
        UnsupportedEnvironmentError: If the id is unknown, an argument is missing, a wrapper does not fit or the spaces
            do not.
        RenderingError: If OpenGL is missing; names the Debian packages.
        TypeError: If the environment does not have an argument, as from ``gymnasium.make``.
    """
    recipe = as_recipe(env_id)
    _prepare_headless()
    with _explained(recipe), contextlib.ExitStack() as closing:
        with contextlib.redirect_stdout(io.StringIO()):  # Miniworld prints its number of anti-aliasing samples
            _register(recipe.id)
            made = gym.make(recipe.id, **{**recipe.kwargs, **kwargs})
        closing.callback(made.close)
        for name, base in _DRAWN_BY.items():
            if library := sys.modules.get(name):
                part_drawings(library, base)
        frames = RGBObservation(wrap(made, recipe.wrappers))
        describe(frames, recipe)
        closing.pop_all()
        return frames


@contextlib.contextmanager
def _explained(recipe: EnvRecipe) -> Iterator[None]:
    """Turns the errors of making an environment into those that say what to do."""
    try:
        yield
    except (gym.error.Error, ModuleNotFoundError) as error:
        raise UnsupportedEnvironmentError(
            f"expected the id of an installed environment, got {recipe.id!r}: {error}"
        ) from None
    except TypeError as error:
        if " missing " not in str(error) and not any(name in str(error) for name in recipe.kwargs):
            raise
        raise UnsupportedEnvironmentError(f"expected the arguments that {recipe.id!r} needs: {error}") from None
    except Exception as error:
        if _is_gl_failure(error):
            raise RenderingError(
                f"{recipe.id} cannot draw: OpenGL is missing or broken ({error}). "
                f"On Debian or Ubuntu: apt-get install {GL_PACKAGES}"
            ) from error
        raise


def make_reality(recipe: EnvRecipe, **kwargs: Any) -> gym.Env:
    """Makes the real environment of a world from its recipe, see :func:`make_real`; imports no module that it names.

    Raises:
        UnsupportedEnvironmentError: If it needs one, too.
    """
    return make_real(_check_named(recipe), **kwargs)


def make_reality_vector(recipe: EnvRecipe, num_envs: int) -> VectorEnv:
    """Makes the real environments of a world in this process, see :func:`make_real_vector`."""
    return make_real_vector(_check_named(recipe), num_envs)


def _check_named(recipe: EnvRecipe) -> EnvRecipe:
    """Checks what a world says of its environment, after the modules that this package knows are imported."""
    _prepare_headless()
    with _explained(recipe):
        _register(recipe.id)
    check_named_by_world(recipe)
    return recipe


def make_real_vector(env_id: str | EnvRecipe, num_envs: int, processes: bool = False, **kwargs: Any) -> VectorEnv:
    """Makes ``num_envs`` copies that are reset by hand (autoreset disabled); infos are left out.

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
    """Repeats its latest frame after a reset with the option ``leave``, as vectors do not step finished environments.

    Infos are left out: nobody reads them, and Gymnasium's vectors cannot batch arrays of changing shape or None.

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
            self._frame, _ = self.env.reset(seed=seed, options=options)
        return self._frame, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        if self._left:
            return self._frame, 0.0, False, False, {}
        self._steps += 1
        with self._blame():
            self._frame, reward, terminated, truncated, _ = self.env.step(action)
            finite = math.isfinite(reward)
        if not finite:
            raise EpisodeError(self._env_id, self._seed, self._steps, f"expected a finite reward, got {reward}")
        return self._frame, reward, terminated, truncated, {}

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


def _make_idler(env_id: str | EnvRecipe, **kwargs: Any) -> gym.Env:
    return _Idler(make_real(env_id, **kwargs), as_recipe(env_id).id)


def taken(env: VectorEnv) -> str:
    """Says what of the observations a vector of real environments takes; empty if all of it, as it is."""
    found: Any = env.unwrapped
    return str(found.get_attr("taken")[0])


def describe(env: gym.Env | VectorEnv, env_id: str | EnvRecipe) -> StoreSpec:
    """Says what a world has to know of a real environment, its id as it was asked for (with the module, if any).

    Args:
        env: What :func:`make_real` or :func:`make_real_vector` returned.
        env_id: Its id, or the recipe that it was made by.

    Raises:
        UnsupportedEnvironmentError: If actions are not Discrete or a bounded Box.
    """
    space, actions = (
        (env.single_observation_space, env.single_action_space)
        if isinstance(env, VectorEnv)
        else (env.observation_space, env.action_space)
    )
    assert space.shape is not None
    height, width, _ = space.shape
    recipe = as_recipe(env_id)
    facts = (recipe.id, (height, width, 3), ActionSpec.from_space(actions), _time_limit(recipe))
    return StoreSpec(*facts, recipe.kwargs, recipe.wrappers)


def _time_limit(recipe: EnvRecipe) -> int | None:
    """The time limit asked for, else the registered one; an id without a version has the latest, as in Gymnasium."""
    asked = recipe.kwargs.get("max_episode_steps")
    if isinstance(asked, int):
        return asked if asked > 0 else None  # -1 is Gymnasium's way to ask for none
    namespace, name, version = parse_env_id(recipe.id.rpartition(":")[2])
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
