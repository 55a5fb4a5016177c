"""The real environment of a world: made headless where there is no display, checked before it is used."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
from typing import Any

import gymnasium as gym
import numpy as np
import torch  # noqa: F401  Miniworld draws other pixels in processes without torch (Miniworld issue 142).
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from dreamenv.episodes import StoreSpec
from dreamenv.errors import RenderingError, UnsupportedEnvironmentError
from dreamenv.spaces import ActionSpec

GL_PACKAGES = "libegl1 libgl1 libglu1-mesa libgl1-mesa-dri libfreetype6"
_REGISTERED_BY = {"MiniWorld-": "miniworld"}  # id prefix -> the module whose import registers it


def make_real(env_id: str, **kwargs: Any) -> gym.Env:
    """Makes a real environment, without a window where there is no display.

    Args:
        env_id: A Gymnasium id, ``module:id`` for environments that a module registers on import.
        **kwargs: For ``gymnasium.make``.

    Returns:
        An environment with (H, W, 3) uint8 observations and a Discrete or Box action space.

    Raises:
        UnsupportedEnvironmentError: If the id is unknown or the spaces do not fit.
        RenderingError: If OpenGL is missing; names the Debian packages.
    """
    _prepare_headless()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Miniworld prints its number of anti-aliasing samples
            _register(env_id)
            env = gym.make(env_id, **kwargs)
    except (gym.error.Error, ModuleNotFoundError) as error:
        raise UnsupportedEnvironmentError(
            f"expected the id of an installed environment, got {env_id!r}: {error}"
        ) from None
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


def make_real_vector(env_id: str, num_envs: int, **kwargs: Any) -> SyncVectorEnv:
    """Makes ``num_envs`` copies that share a process and are reset by hand (autoreset disabled)."""
    make = [lambda: make_real(env_id, **kwargs)] * num_envs
    return SyncVectorEnv(make, autoreset_mode=AutoresetMode.DISABLED)


def describe(env: gym.Env, env_id: str) -> StoreSpec:
    """Says what a world has to know of a real environment, its id as it was asked for (with the module, if any).

    Raises:
        UnsupportedEnvironmentError: If frames are not (H, W, 3) uint8, or actions not Discrete or a bounded Box.
    """
    space = env.observation_space
    if not (
        isinstance(space, gym.spaces.Box) and len(space.shape) == 3 and space.shape[2] == 3 and space.dtype == np.uint8
    ):
        raise UnsupportedEnvironmentError(
            f"expected RGB observations Box(0, 255, (height, width, 3), uint8), got {space}; "
            "wrap the environment, for example in gymnasium.wrappers.AddRenderObservation"
        )
    height, width, _ = space.shape
    return StoreSpec(env_id, (height, width, 3), ActionSpec.from_space(env.action_space))


def _prepare_headless() -> None:
    """Tells pyglet, before anything imports its windows, to draw without a screen."""
    if importlib.util.find_spec("pyglet") and not os.environ.get("DISPLAY"):
        import pyglet

        pyglet.options["headless"] = True


def _register(env_id: str) -> None:
    for prefix, module in _REGISTERED_BY.items():
        if env_id.startswith(prefix):
            importlib.import_module(module)


def _is_gl_failure(error: Exception) -> bool:
    text = f"{type(error).__module__}.{type(error).__name__}: {error}".lower()
    return any(word in text for word in ("pyglet", "freetype", "libgl", "libegl", '"gl"', '"egl"', '"glu"', "opengl"))
