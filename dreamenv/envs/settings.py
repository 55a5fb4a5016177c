"""Checks of an environment's arguments and reset options, before anything changes."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeGuard

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import COUNT, check_choice, is_number, shown
from dreamenv.models.base import State
from dreamenv.world import World


def check_temperature(value: Any, num_envs: int) -> torch.Tensor:
    """Turns a number, an (N,) array or a pair (low, high) into (2, N) float64: the range of every environment.

    Raises:
        SettingsError: If it is not a number, negative, nan, infinite, of another length, or if low is above high.
    """
    pair = isinstance(value, tuple | list) and len(value) == 2 and all(is_number(bound) for bound in value)
    array = _is_array(value) and value.shape in ((), (num_envs,)) and value.dtype.kind in "fiu"
    ranges = _as_float64(value) if pair or array or is_number(value) else np.full(1, np.nan)
    low, high = ranges if pair else (ranges, ranges)
    if not np.all((low >= 0) & (low <= high) & (high <= np.finfo(np.float32).max)):
        many = f", or an array of {num_envs} of them" if num_envs > 1 else ""
        raise SettingsError(
            f"expected a temperature: a finite number >= 0{many}, or a pair (low, high); got {shown(value)}"
        )
    return torch.from_numpy(np.stack([np.broadcast_to(bound, (num_envs,)) for bound in (low, high)]))


def _is_array(value: Any) -> TypeGuard[NDArray]:
    """Whether it is an array all of which counts: a masked one has parts that are none."""
    return isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray)


def _as_float64(value: Any) -> NDArray[np.float64]:
    """Real numbers; nan where one is beyond the range of float64."""
    try:
        with np.errstate(over="ignore"):
            return np.asarray(value, np.float64)
    except OverflowError:  # a Python integer of hundreds of digits
        return np.full(2, np.nan)


def check_seed(seed: Any) -> None:
    """Checks the seed of a single environment as Gymnasium does.

    Raises:
        gymnasium.error.Error: If it is neither None nor a Python integer >= 0.
    """
    if not (seed is None or (isinstance(seed, int) and seed >= 0)):
        raise gym.error.Error(f"expected a seed: None or a Python integer >= 0; got {shown(seed)}")


def check_mask(mask: Any, num_envs: int) -> NDArray[np.bool_]:
    """Checks which of N environments are meant.

    Raises:
        SettingsError: If it is not an (N,) bool array.
    """
    if not _is_mask(mask, num_envs):
        raise SettingsError(f"expected the mask to be a ({num_envs},) bool array, got {shown(mask)}")
    return mask


def _is_mask(mask: Any, num_envs: int) -> bool:
    return isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (num_envs,)


def check_start(start: State | None, world: World, num_envs: int, branched_starts: float) -> State | None:
    """Turns a start of batch size 1 or N into one of N.

    Raises:
        SettingsError: If it is of another size, or beside branched starts.
    """
    if start is None:
        return None
    if not isinstance(start, State):
        raise SettingsError(f"expected a State as start, got {shown(start)}")
    if branched_starts:
        raise SettingsError(f"expected branched_starts 0 beside a start, got {branched_starts}")
    expected, got = world.feature_size, tuple(world.features(start).shape)
    if got not in ((1, expected), (num_envs, expected)):
        raise SettingsError(f"expected a start of 1 or {num_envs} states with {expected} features, got {got}")
    start = start.to(world.device)
    return start if len(start.step) == num_envs else start.rows(torch.zeros(num_envs, dtype=torch.int64))


def matrix_dtype(name: str) -> torch.dtype:
    """Converts the name of a type of M's matrix products.

    Raises:
        SettingsError: If there is no such type.
    """
    return getattr(torch, check_choice("dtype", name, ("float32", "bfloat16", "int8")))


def time_limit(real: int, asked: int | None) -> int:
    """The most steps of a dream: the real time limit, or fewer if that was asked for.

    Raises:
        SettingsError: If it is no positive number.
    """
    if asked is None or (isinstance(asked, int) and asked == -1):  # gymnasium.make's way to ask for no limit of its own
        return real
    return min(real, COUNT.check("max_episode_steps", asked))


def with_time_limit(spec: EnvSpec | None, steps: int) -> EnvSpec | None:
    """The spec of an environment, if it has one, with the time limit that wrappers and libraries read there."""
    return None if spec is None else dataclasses.replace(spec, max_episode_steps=steps)


def check_autoreset_mode(mode: Any) -> AutoresetMode:
    """Converts an autoreset mode or its value.

    Raises:
        SettingsError: If Gymnasium has no such mode.
    """
    value = mode.value if isinstance(mode, AutoresetMode) else mode
    return AutoresetMode(check_choice("autoreset_mode", value, [one.value for one in AutoresetMode]))


def check_render_mode(mode: Any) -> str | None:
    """Checks a render mode.

    Raises:
        SettingsError: If it is neither None nor ``"rgb_array"``.
    """
    return check_choice("render_mode", mode, (None, "rgb_array"))


def check_options(options: Any) -> dict[str, Any]:
    """Copies the options of a reset, which are the caller's.

    Raises:
        SettingsError: If they are neither a dict nor None.
    """
    if not (options is None or isinstance(options, dict)):
        raise SettingsError(f"expected the options of a reset as a dict or None, got {shown(options)}")
    return dict(options or {})


def check_reset_mask(options: dict[str, Any], num_envs: int) -> NDArray[np.bool_]:
    """Reads from the options of a reset which environments are meant, (N,) bool; all where they do not say.

    Raises:
        SettingsError: If it is not an (N,) bool array, or none is meant.
    """
    mask = options.get("reset_mask", np.ones(num_envs, bool))
    if not (_is_mask(mask, num_envs) and mask.any()):
        raise SettingsError(
            f"expected reset_mask to be a ({num_envs},) bool array with a True in it, got {shown(mask)}"
        )
    return mask


def check_reset_options(options: dict[str, Any] | None, num_envs: int) -> tuple[NDArray[np.bool_], torch.Tensor | None]:
    """Reads a dream's options of a reset: which environments, (N,) bool, and (2, N) ranges of new temperatures, if any.

    Raises:
        SettingsError: If there are others, or their values are wrong.
    """
    options = check_options(options)
    mask, temperature = check_reset_mask(options, num_envs), options.get("temperature")
    others = [name for name in options if name not in ("temperature", "reset_mask")]
    if others:
        raise SettingsError(f"expected the options 'temperature' and 'reset_mask', got {shown(others)}")
    return mask, None if temperature is None else check_temperature(temperature, num_envs)
