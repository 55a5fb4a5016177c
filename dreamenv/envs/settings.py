"""What callers may ask of an environment, checked before anything changes: settings, seeds, options, actions."""

from __future__ import annotations

import dataclasses
from numbers import Real
from typing import Any, TypeGuard

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import InvalidAction
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from dreamenv.envs.streams import is_integer
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.base import State
from dreamenv.world import World


def check_temperature(value: Any, num_envs: int) -> torch.Tensor:
    """Turns a number, an (N,) array or a pair (low, high) into (2, N) float64: the range of every environment.

    Raises:
        SettingsError: If it is not a number, negative, nan, infinite, of another length, or if low is above high.
    """
    pair = isinstance(value, tuple | list) and len(value) == 2 and all(_is_number(bound) for bound in value)
    array = _is_array(value) and value.shape in ((), (num_envs,)) and value.dtype.kind in "fiu"
    ranges = _as_float64(value) if pair or array or _is_number(value) else np.full(1, np.nan)
    low, high = ranges if pair else (ranges, ranges)
    if not np.all((low >= 0) & (low <= high) & (high <= np.finfo(np.float32).max)):
        many = f", or an array of {num_envs} of them" if num_envs > 1 else ""
        raise SettingsError(
            f"expected a temperature: a finite number >= 0{many}, or a pair (low, high); got {_shown(value)}"
        )
    return torch.from_numpy(np.stack([np.broadcast_to(bound, (num_envs,)) for bound in (low, high)]))


def check_one_temperature(value: Any) -> float:
    """Checks a temperature where a pair or an array has no meaning.

    Raises:
        SettingsError: If it is not a number, negative, nan or infinite.
    """
    if not _is_number(value):
        raise SettingsError(f"expected a temperature: a single finite number >= 0; got {_shown(value)}")
    return float(check_temperature(value, 1)[0, 0])


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.timedelta64)


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


def _shown(value: Any) -> str:
    """What came, for an error; of a value that cannot be printed its type."""
    try:
        return repr(value)
    except Exception:
        return f"a value of type {type(value).__name__}"


def check_count(name: str, value: Any) -> int:
    """Checks a number of things.

    Raises:
        SettingsError: If it is not an integer, or below 1.
    """
    if not is_integer(value) or isinstance(value, bool) or not 1 <= value < 2**63:
        limit = " and below 2**63" if is_integer(value) and value >= 1 else ""
        raise SettingsError(f"expected {name} >= 1{limit}, an integer, got {_shown(value)}")
    return int(value)


def check_flag(name: str, value: Any) -> bool:
    """Checks a choice between yes and no.

    Raises:
        SettingsError: If it is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise SettingsError(f"expected {name} to be True or False, got {_shown(value)}")
    return bool(value)


def check_share(name: str, value: Any, *, below_one: bool = False) -> float:
    """Checks a share of something; of ``below_one`` it must not be all.

    Raises:
        SettingsError: If it is not a number in [0, 1], or in [0, 1).
    """
    if not (_is_number(value) and 0.0 <= value <= 1.0 and (value < 1.0 or not below_one)):
        raise SettingsError(f"expected {name} in [0, 1{')' if below_one else ']'}, a number, got {_shown(value)}")
    return float(value)


def check_seed(seed: Any) -> None:
    """Checks the seed of a single environment as Gymnasium does.

    Raises:
        gymnasium.error.Error: If it is neither None nor a Python integer >= 0.
    """
    if not (seed is None or (isinstance(seed, int) and seed >= 0)):
        raise gym.error.Error(f"expected a seed: None or a Python integer >= 0; got {_shown(seed)}")


def check_mask(mask: Any, num_envs: int) -> NDArray[np.bool_]:
    """Checks which of N environments are meant.

    Raises:
        SettingsError: If it is not an (N,) bool array.
    """
    if not _is_mask(mask, num_envs):
        raise SettingsError(f"expected the mask to be a ({num_envs},) bool array, got {_shown(mask)}")
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
        raise SettingsError(f"expected a State as start, got {_shown(start)}")
    if branched_starts:
        raise SettingsError(f"expected branched_starts 0 beside a start, got {branched_starts}")
    expected, got = world.feature_size, tuple(world.features(start).shape)
    if got not in ((1, expected), (num_envs, expected)):
        raise SettingsError(f"expected a start of 1 or {num_envs} states with {expected} features, got {got}")
    start = start.to(world.device)
    return start if len(start.step) == num_envs else start.rows(torch.zeros(num_envs, dtype=torch.int64))


def matrix_dtype(name: str) -> torch.dtype:
    """The type of M's matrix products by its name.

    Raises:
        SettingsError: If there is no such type.
    """
    if not isinstance(name, str) or name not in ("float32", "bfloat16", "int8"):
        raise SettingsError(f"expected dtype 'float32', 'bfloat16' or 'int8', got {_shown(name)}")
    return getattr(torch, name)


def time_limit(real: int, asked: int | None) -> int:
    """The most steps of a dream: the real time limit, or fewer if that was asked for.

    Raises:
        SettingsError: If it is no positive number.
    """
    if asked is None or (isinstance(asked, int) and asked == -1):  # gymnasium.make's way to ask for no limit of its own
        return real
    return min(real, check_count("max_episode_steps", asked))


def with_time_limit(spec: EnvSpec | None, steps: int) -> EnvSpec | None:
    """The spec of an environment, if it has one, with the time limit that wrappers and libraries read there."""
    return None if spec is None else dataclasses.replace(spec, max_episode_steps=steps)


def check_autoreset_mode(mode: Any) -> AutoresetMode:
    """Checks when environments that are done begin anew.

    Raises:
        SettingsError: If it is no mode of Gymnasium, nor the value of one.
    """
    if not isinstance(mode, AutoresetMode | str) or mode not in (*AutoresetMode, *(one.value for one in AutoresetMode)):
        names = ", ".join(repr(one.value) for one in AutoresetMode)
        raise SettingsError(f"expected autoreset_mode {names} or an AutoresetMode, got {_shown(mode)}")
    return AutoresetMode(mode)


def check_render_mode(mode: Any) -> str | None:
    """Checks how to draw.

    Raises:
        SettingsError: If it is neither None nor ``"rgb_array"``.
    """
    if mode not in (None, "rgb_array"):
        raise SettingsError(f"expected render_mode None or 'rgb_array', got {_shown(mode)}")
    return mode


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
    raise InvalidAction(f"expected {what} in {spec.space}, got {_shown(values)}: {problem}")


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
        raise InvalidAction(f"expected an array of actions without a mask, got {_shown(actions)}")
    try:
        return actions if isinstance(actions, torch.Tensor) else np.asarray(actions)
    except Exception as error:  # whatever a foreign object's own conversion to an array raises
        raise InvalidAction(f"expected an array of actions, got {_shown(actions)}: {error}") from error


def _like(values: NDArray | torch.Tensor, bounds: tuple[float, ...]) -> Any:
    """Bounds of a Box, which are float32 in its space, to compare with."""
    return values.new_tensor(bounds) if isinstance(values, torch.Tensor) else np.array(bounds, np.float32)


def check_options(options: Any) -> dict[str, Any]:
    """Copies the options of a reset, which are the caller's.

    Raises:
        SettingsError: If they are neither a dict nor None.
    """
    if not (options is None or isinstance(options, dict)):
        raise SettingsError(f"expected the options of a reset as a dict or None, got {_shown(options)}")
    return dict(options or {})


def check_reset_mask(options: dict[str, Any], num_envs: int) -> NDArray[np.bool_]:
    """Reads from the options of a reset which environments are meant, (N,) bool; all where they do not say.

    Raises:
        SettingsError: If it is not an (N,) bool array, or none is meant.
    """
    mask = options.get("reset_mask", np.ones(num_envs, bool))
    if not (_is_mask(mask, num_envs) and mask.any()):
        raise SettingsError(
            f"expected reset_mask to be a ({num_envs},) bool array with a True in it, got {_shown(mask)}"
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
        raise SettingsError(f"expected the options 'temperature' and 'reset_mask', got {_shown(others)}")
    return mask, None if temperature is None else check_temperature(temperature, num_envs)
