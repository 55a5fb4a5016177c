"""Checks of actions before a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.error import InvalidAction
from numpy.typing import NDArray

from dreamenv.foundation.ranges import shown
from dreamenv.foundation.spaces import ActionSpec


def check_action(action: Any, spec: ActionSpec) -> NDArray:
    """Turns an action of one environment into a batch of one: (1,) int64 or (1, A) float32.

    Like Gymnasium's own environments it reads integers of any type, also as arrays without dimensions, and for a Box
    arrays and sequences of any type of number.

    Raises:
        InvalidAction: If the space does not contain it.
    """
    values = _as_numbers(int(action) if isinstance(action, bool) else action)  # True is 1, as for Gymnasium
    return _checked(values, spec, () if spec.discrete else (spec.size,), "an action")[None].numpy()


def check_actions(actions: Any, spec: ActionSpec, num_envs: int) -> torch.Tensor:
    """Turns N actions, an array, nested sequences, or an int64 or float32 tensor, into (N,) int64 or (N, A) float32.

    Arrays and sequences count by their values: integers of any type, and floats of any type for a Box, which are
    compared with its bounds as they came and rounded to float32 afterwards. Tensors have the exact type.

    Raises:
        InvalidAction: If there are not N of them, or one is not in the space.
    """
    shape = (num_envs,) if spec.discrete else (num_envs, spec.size)
    return _checked(_as_numbers(actions), spec, shape, f"{num_envs} actions")


def _checked(values: NDArray | torch.Tensor, spec: ActionSpec, shape: tuple[int, ...], what: str) -> torch.Tensor:
    """Actions of a space as int64 or float32; an error says what is wrong with others."""
    problem = _type_problem(values, spec)
    if not problem and tuple(values.shape) != shape:
        problem = f"the shape is {tuple(values.shape)}, not {shape}"
    if not problem:
        low, high = (0, spec.n - 1) if spec.discrete else (_like(values, spec.low), _like(values, spec.high))
        inside = (values >= low) & (values <= high)
        if inside.all():
            dtype = np.int64 if spec.discrete else np.float32
            return values if isinstance(values, torch.Tensor) else torch.from_numpy(np.asarray(values, dtype))
        problem = f"{values[~inside].ravel()[0]} is out of bounds"
    raise InvalidAction(f"expected {what} in {spec.space}, got {shown(values)}: {problem}")


def _type_problem(values: NDArray | torch.Tensor, spec: ActionSpec) -> str | None:
    """What is wrong with the type of actions, if anything."""
    if not isinstance(values, torch.Tensor):
        fits = values.dtype.kind in ("iu" if spec.discrete else "iuf")
        return None if fits else f"the type is {values.dtype}, not one of {'integers' if spec.discrete else 'numbers'}"
    exact = torch.int64 if spec.discrete else torch.float32
    if values.dtype is not exact:
        return f"the type is {values.dtype}, not {exact}"
    dense = values.layout is torch.strided and not values.is_meta
    return None if dense else f"the tensor is {values.layout} on {values.device}, not one of values in memory"


def _as_numbers(actions: Any) -> NDArray | torch.Tensor:
    if isinstance(actions, np.ma.MaskedArray):
        raise InvalidAction(f"expected an array of actions without a mask, got {shown(actions)}")
    try:
        return actions if isinstance(actions, torch.Tensor) else np.asarray(actions)
    except Exception as error:  # whatever a foreign object's own conversion to an array raises
        raise InvalidAction(f"expected an array of actions, got {shown(actions)}: {error}") from error


def _like(values: NDArray | torch.Tensor, bounds: tuple[float, ...]) -> Any:
    """Bounds of a Box, which are float32 in its space, to compare with."""
    return values.new_tensor(bounds) if isinstance(values, torch.Tensor) else np.array(bounds, np.float32)
