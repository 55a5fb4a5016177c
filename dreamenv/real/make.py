"""Makes the real environment of a world: checked, and headless where there is no display."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import torch  # noqa: F401  Miniworld draws other pixels in processes without torch (Miniworld issue 142).
from gymnasium.envs.registration import find_highest_version, get_env_id, parse_env_id
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from dreamenv.foundation.errors import RenderingError, SettingsError, UnsupportedEnvironmentError
from dreamenv.foundation.recipe import EnvRecipe, as_recipe
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.real.frames import RGBObservation
from dreamenv.real.idle import IdleEnv, IdleVector
from dreamenv.real.libraries import isolate_known_drawing, prepare_headless, register_environments
from dreamenv.real.named import check_named_by_world, wrap
from dreamenv.real.spec import StoreSpec
from dreamenv.real.workers import WorkerVectorEnv

GL_PACKAGES = "libegl1 libgl1 libglu1-mesa libgl1-mesa-dri libfreetype6"


def make_real(env_id: str | EnvRecipe, **kwargs: Any) -> gym.Env:
    """Makes a real environment, without a window where there is no display.

    Args:
        env_id: A Gymnasium id, ``module:id`` for environments that a module registers on import; or a recipe, whose
            wrappers are imported and applied.
        **kwargs: For ``gymnasium.make``; they override those of the recipe.

    Returns:
        An environment with (H, W, 3) uint8 observations, see :class:`RGBObservation`, and a Discrete or Box action
        space.

    Raises:
        UnsupportedEnvironmentError: If the id is unknown, an argument is missing, a wrapper does not fit or the spaces
            do not.
        RenderingError: If OpenGL is missing; names the Debian packages.
        TypeError: If the environment does not accept an argument, as from ``gymnasium.make``.
    """
    recipe = as_recipe(env_id)
    prepare_headless()
    with _helpful_errors(recipe), contextlib.ExitStack() as closing:
        with contextlib.redirect_stdout(io.StringIO()):  # Miniworld prints its number of anti-aliasing samples
            register_environments(recipe.id)
            made = gym.make(recipe.id, **{**recipe.kwargs, **kwargs})
        closing.callback(made.close)
        isolate_known_drawing()
        frames = RGBObservation(wrap(made, recipe.wrappers))
        describe(frames, recipe)
        closing.pop_all()
        return frames


@contextlib.contextmanager
def _helpful_errors(recipe: EnvRecipe) -> Iterator[None]:
    """Replaces errors of making an environment by errors that name the remedy."""
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
    except RenderingError:
        raise
    except Exception as error:
        if _is_gl_failure(error):
            raise RenderingError(
                f"{recipe.id} cannot draw: OpenGL is missing or broken ({error}). "
                f"On Debian or Ubuntu: apt-get install {GL_PACKAGES}"
            ) from error
        raise


def make_reality(recipe: EnvRecipe, **kwargs: Any) -> gym.Env:
    """Makes the real environment of a world, see :func:`make_real`, but imports no module that the recipe names.

    Raises:
        UnsupportedEnvironmentError: As :func:`make_real`; also if the recipe names a module that is not imported yet.
    """
    return make_real(_check_named(recipe), **kwargs)


def make_reality_vector(recipe: EnvRecipe, num_envs: int) -> VectorEnv:
    """Makes the real environments of a world in this process, see :func:`make_real_vector`."""
    return make_real_vector(_check_named(recipe), num_envs)


def _check_named(recipe: EnvRecipe) -> EnvRecipe:
    """Imports the known modules, then checks that the recipe of a world needs no others."""
    prepare_headless()
    with _helpful_errors(recipe):
        register_environments(recipe.id)
    check_named_by_world(recipe)
    return recipe


def make_real_vector(env_id: str | EnvRecipe, num_envs: int, processes: bool = False, **kwargs: Any) -> VectorEnv:
    """Makes ``num_envs`` copies of an environment, with autoreset disabled and empty infos.

    Args:
        env_id: As for :func:`make_real`; processes need ``module:id`` where a module registers the id.
        num_envs: Number of environments.
        processes: Run every environment in its own process, see :class:`WorkerVectorEnv`; else all in this process.
        **kwargs: For ``gymnasium.make``.

    Raises:
        SettingsError: If ``num_envs`` is below 1.
        WorkerError: If a process ends early.
    """
    if num_envs < 1:
        raise SettingsError(f"expected num_envs >= 1, got {num_envs}")
    make = functools.partial(_make_idle_env, env_id, **kwargs)
    if processes:
        return IdleVector(WorkerVectorEnv(make, num_envs, preload=__name__))
    return IdleVector(SyncVectorEnv([make] * num_envs, autoreset_mode=AutoresetMode.DISABLED))


def _make_idle_env(env_id: str | EnvRecipe, **kwargs: Any) -> gym.Env:
    return IdleEnv(make_real(env_id, **kwargs), as_recipe(env_id).id)


def frame_conversion(env: VectorEnv) -> str:
    """Describes how a vector of real environments converts observations to frames; empty if it does not."""
    vector: Any = env.unwrapped
    return str(vector.get_attr("conversion")[0])


def describe(env: gym.Env | VectorEnv, env_id: str | EnvRecipe) -> StoreSpec:
    """Describes a real environment as plain data, under the id that the caller used (with the module, if any).

    Args:
        env: An environment from :func:`make_real` or :func:`make_real_vector`.
        env_id: The id or recipe from which ``env`` was made.

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
    action = ActionSpec.from_space(actions)
    return StoreSpec(recipe.id, (height, width, 3), action, _time_limit(recipe), recipe.kwargs, recipe.wrappers)


def _time_limit(recipe: EnvRecipe) -> int | None:
    """Returns the time limit in the recipe, else the registered one; an id without a version means the latest."""
    steps = recipe.kwargs.get("max_episode_steps")
    if isinstance(steps, int):
        return steps if steps > 0 else None  # Gymnasium reads -1 as no limit
    namespace, name, version = parse_env_id(recipe.id.rpartition(":")[2])
    version = find_highest_version(namespace, name) if version is None else version
    registered = gym.registry.get(get_env_id(namespace, name, version))
    return registered.max_episode_steps if registered else None


def _is_gl_failure(error: Exception) -> bool:
    text = f"{type(error).__module__}.{type(error).__name__}: {error}".lower()
    return any(word in text for word in ("pyglet", "freetype", "libgl", "libegl", '"gl"', '"egl"', '"glu"', "opengl"))
