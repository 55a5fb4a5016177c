"""What callers may ask of a dream, checked: temperatures, starts, time limits, options, actions."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import torch
from gymnasium.error import InvalidAction
from numpy.typing import NDArray

from dreamenv.models.memory import State
from dreamenv.spaces import ActionSpec
from dreamenv.world import World


def check_temperature(value: Any, num_envs: int) -> torch.Tensor:
    """Turns a number, an (N,) array or a pair (low, high) into (2, N) float64: the range of every environment.

    Raises:
        ValueError: If it is not a number, negative, nan, infinite, of another length, or if low is above high.
    """
    pair = isinstance(value, tuple | list) and len(value) == 2 and all(_is_number(bound) for bound in value)
    array = isinstance(value, np.ndarray) and value.shape in ((), (num_envs,)) and value.dtype.kind in "fiu"
    ranges = np.asarray(value, np.float64) if pair or array or _is_number(value) else np.full(1, np.nan)
    low, high = ranges if pair else (ranges, ranges)
    if not np.all((low >= 0) & (low <= high) & (high <= np.finfo(np.float32).max)):
        many = f", or an array of {num_envs} of them" if num_envs > 1 else ""
        raise ValueError(f"expected a temperature: a finite number >= 0{many}, or a pair (low, high); got {value!r}")
    return torch.from_numpy(np.stack([np.broadcast_to(bound, (num_envs,)) for bound in (low, high)]))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def check_start(start: State | None, world: World, num_envs: int, branched_starts: float) -> State | None:
    """Turns a start of batch size 1 or N into one of N.

    Raises:
        ValueError: If it is of another size, or beside branched starts.
    """
    if start is None:
        return None
    if branched_starts:
        raise ValueError(f"expected branched_starts 0 beside a start, got {branched_starts}")
    expected, got = world.feature_size, tuple(world.features(start).shape)
    if got not in ((1, expected), (num_envs, expected)):
        raise ValueError(f"expected a start of 1 or {num_envs} states with {expected} features, got {got}")
    start = start.to(world.device)
    return start if len(start.step) == num_envs else start.rows(torch.zeros(num_envs, dtype=torch.int64))


def check_first_frames(
    frames: NDArray[np.uint8] | None, start: State | None, world: World, num_envs: int
) -> torch.Tensor | None:
    """Turns 1 or N real frames into N.

    Raises:
        ValueError: If they are not frames of the world, or without a start.
    """
    if frames is None:
        return None
    shape = world.config.frame_shape
    if start is None:
        raise ValueError("expected a start beside first_frames, got none")
    if frames.dtype != np.uint8 or frames.shape not in ((1, *shape), (num_envs, *shape)):
        raise ValueError(f"expected first_frames of 1 or {num_envs} {shape} uint8, got {frames.dtype}{frames.shape}")
    return torch.from_numpy(np.broadcast_to(frames, (num_envs, *shape)).copy()).to(world.device)


def matrix_dtype(name: str) -> torch.dtype:
    """The type of M's matrix products by its name.

    Raises:
        ValueError: If there is no such type.
    """
    if name not in ("float32", "bfloat16"):
        raise ValueError(f"expected dtype 'float32' or 'bfloat16', got {name!r}")
    return getattr(torch, name)


def time_limit(real: int, asked: int | None) -> int:
    """The time limit of a dream: the real one, or a shorter one that was asked for.

    Raises:
        ValueError: If it is no positive number.
    """
    if asked is None or asked == -1:  # -1 is how gymnasium.make asks for no limit of its own
        return real
    if not isinstance(asked, int | np.integer) or asked < 1:
        raise ValueError(f"expected max_episode_steps >= 1, got {asked!r}")
    return min(real, int(asked))


def check_actions(actions: Any, spec: ActionSpec, num_envs: int) -> torch.Tensor:
    """Turns N actions, an array or an int64 or float32 tensor, into (N,) int64 or (N, A) float32.

    Raises:
        InvalidAction: If there are not N of them, or one is not in the space.
    """
    shape = (num_envs,) if spec.discrete else (num_envs, spec.size)
    exact = torch.int64 if spec.discrete else torch.float32
    if isinstance(actions, torch.Tensor):
        values, fits = actions, actions.dtype is exact
    else:
        array = np.asarray(actions)
        fits = array.dtype.kind in ("iu" if spec.discrete else "iuf")
        values = torch.from_numpy(array.astype(np.int64 if spec.discrete else np.float32)) if fits else torch.empty(0)
    if tuple(values.shape) != shape or not fits:
        got = actions if isinstance(actions, torch.Tensor) else np.asarray(actions)
        raise InvalidAction(f"expected {num_envs} actions in {spec.space}, got {got.dtype}{tuple(got.shape)}")
    low, high = (0, spec.n - 1) if spec.discrete else (values.new_tensor(spec.low), values.new_tensor(spec.high))
    if not ((values >= low) & (values <= high)).all():
        raise InvalidAction(f"expected {num_envs} actions in {spec.space}, got {values}")
    return values


def check_reset_options(options: dict[str, Any] | None, num_envs: int) -> tuple[NDArray[np.bool_], torch.Tensor | None]:
    """Reads a reset's options: which environments, (N,) bool, and (2, N) ranges of temperatures if there are new ones.

    Raises:
        ValueError: If there are others, or their values are wrong.
    """
    options = dict(options or {})
    mask = options.pop("reset_mask", np.ones(num_envs, bool))
    if not (isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (num_envs,) and mask.any()):
        raise ValueError(f"expected reset_mask to be a ({num_envs},) bool array with a True in it, got {mask!r}")
    temperature = options.pop("temperature", None)
    if options:
        raise ValueError(f"expected the options 'temperature' and 'reset_mask', got {sorted(options)}")
    return mask, None if temperature is None else check_temperature(temperature, num_envs)
