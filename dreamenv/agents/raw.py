"""Whether a model of Stable-Baselines3 sees the features of its world as they are: an agent's files keep no wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorObservationWrapper
from gymnasium.wrappers import FlattenObservation, MaxAndSkipObservation, NormalizeObservation
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from dreamenv.envs.dream_vector import observation_space
from dreamenv.envs.latent import LatentObservation
from dreamenv.envs.latent_vector import VectorLatentObservation
from dreamenv.foundation.errors import SettingsError
from dreamenv.world import World

_CHANGING = (gym.ObservationWrapper, VectorObservationWrapper, MaxAndSkipObservation)
_UNCHANGING = (FlattenObservation, gym.wrappers.vector.FlattenObservation)  # features are flat


def check_raw(model: BaseAlgorithm, world: World) -> None:
    """Refuses a model that saw something else than the features of ``world``.

    A model knows the bounds of what it saw, and the environment that it has, if any, what wraps it. What wraps the
    frames of a real environment, below :class:`LatentObservation`, is part of the world.

    Raises:
        SettingsError: Names the wrapper, or the two spaces.
    """
    wrapper = next(_wrappers(model.get_env()), None)
    if wrapper is not None:
        raise SettingsError(
            f"expected a model that sees observations as they are, got {wrapper}, whose work an agent's files do not "
            "keep; train without it (wrappers of rewards may stay)"
        )
    expected = observation_space(world)
    if model.observation_space != expected:
        raise SettingsError(
            f"expected a model that sees observations as they are, {_bounds(expected)}, got one of "
            f"{_bounds(model.observation_space)}; train without the wrapper that changed them"
        )


def _bounds(space: gym.Space) -> str:
    """Shape and bounds in a few words; all bounds of all features would fill a page."""
    if not isinstance(space, gym.spaces.Box):
        return str(space)
    return f"{space.shape} {space.dtype} from {space.low.min():g} to {space.high.max():g}"


def _wrappers(env: VecEnv | None) -> Iterator[str]:
    """Names of the wrappers that change observations, from the outside."""
    layer: Any = env
    while layer is not None:
        if getattr(layer, "norm_obs", False):
            yield f"{type(layer).__name__} with norm_obs=True"
        if isinstance(layer, _CHANGING) and not isinstance(layer, _UNCHANGING):
            yield type(layer).__name__
        if isinstance(layer, LatentObservation | VectorLatentObservation):
            return
        if isinstance(layer, VecEnv) and not hasattr(layer, "venv") and any(layer.env_is_wrapped(NormalizeObservation)):
            yield NormalizeObservation.__name__  # of environments in other processes
        inner = getattr(layer, "envs", [None])[0] if isinstance(layer, VecEnv) else None
        layer = getattr(layer, "venv", None) or inner or vars(layer).get("env")
