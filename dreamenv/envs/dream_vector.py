"""Dreams as a Gymnasium vector environment: a thin shell over ``World.imagine``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from dreamenv.bundle import as_world
from dreamenv.engine.blocks import CACHED, INVARIANT, WHOLE
from dreamenv.engine.packed import compiled
from dreamenv.engine.placement import on_device
from dreamenv.envs.counters import CountersState, make_streams
from dreamenv.envs.settings import (
    check_actions,
    check_autoreset_mode,
    check_count,
    check_flag,
    check_mask,
    check_render_mode,
    check_reset_options,
    check_share,
    check_start,
    check_temperature,
    matrix_dtype,
    time_limit,
    with_time_limit,
)
from dreamenv.envs.streams import StreamsState
from dreamenv.foundation.errors import SettingsError
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.world import Transition, World


@dataclass(frozen=True)
class Snapshot:
    """All that a :class:`DreamVectorEnv` goes on from: states, settings of the episodes, who is in, random numbers."""

    state: State
    temperature: torch.Tensor
    temperature_range: torch.Tensor
    mask: torch.Tensor | None
    done: NDArray[np.bool_]
    in_batch: NDArray[np.bool_]
    limit: torch.Tensor
    streams: StreamsState | CountersState


class DreamVectorEnv(VectorEnv):
    """N dreams that advance as one batch.

    Observations are [z, h], (N, Z + H) float32; actions are those of the real environment. ``terminated`` is what the
    world says, ``truncated`` the time limit. Environment i of a vector seeded with s draws the same random numbers as a
    single :class:`DreamEnv` seeded with s + i. There is nothing to close: :meth:`close` sets ``closed``, and
    ends nothing.

    Args:
        world: A world, the name of a shipped one, or a folder.
        num_envs: N.
        temperature: Non-negative number, (N,) array, or a pair (low, high) from which every episode draws its own; the
            world's default if None. Each reset may set another one by ``options={"temperature": ...}``, which holds
            until the next such reset.
        branched_starts: Probability that an episode begins in the middle of a real one.
        start: Where every episode begins, of batch size 1 or N, see :meth:`dreamenv.World.replay` and
            :meth:`LatentObservation.branch`; the world's bank of real moments if None.
        dropout: Share of h that M's heads do not see, drawn anew for every episode: another way to make a dream
            uncertain, see :meth:`dreamenv.World.imagine`.
        max_episode_steps: Truncate every dream after so many steps of its own, wherever it began; with None or -1 only
            the real environment's time limit holds, which counts the steps before a dream branched off as well. Short
            dreams that branch off real moments stay near what M knows (Janner et al. 2019).
        dtype: Of M's matrix products: ``"float32"``; ``"bfloat16"``, on some processors twice as fast and on others
            slower; or ``"int8"``, on the processor only, faster on all that were tried. Both round to two or three
            digits. Observations are float32 in any case.
        batch_invariant: Give an episode the same bits in a batch of any size. Costs speed, most in small batches:
            every number of dreams is filled up to a multiple of 32.
        device: Where to compute, ``"cuda"`` for example; where the world is if None. Elsewhere than on ``"cpu"`` the
            same seeds draw other numbers.
        tensors: Give observations, and take actions, as torch tensors on the device; rewards and flags stay arrays.
            Gradients of what is computed from the observations can be taken.
        autoreset_mode: See ``gymnasium.vector.AutoresetMode``.
        render_mode: None or ``"rgb_array"``: the decoded dream.

    Raises:
        BundleError: If the world cannot be loaded.
        SettingsError: If a setting is out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}
    _spec: EnvSpec | None = None

    def __init__(
        self,
        world: World | str | Path,
        num_envs: int = 1,
        *,
        temperature: float | tuple[float, float] | NDArray | None = None,
        branched_starts: float = 0.0,
        start: State | None = None,
        dropout: float = 0.0,
        max_episode_steps: int | None = None,
        dtype: str = "float32",
        batch_invariant: bool = False,
        device: str | torch.device | None = None,
        tensors: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        num_envs = check_count("num_envs", num_envs)
        branched_starts = check_share("branched_starts", branched_starts)
        dropout = check_share("dropout", dropout, below_one=True)
        render_mode = check_render_mode(render_mode)
        self.world = as_world(world)
        self.world = self.world if device is None else on_device(self.world, device)
        self._device = self.world.device
        self.num_envs, self.render_mode, self.branched_starts = num_envs, render_mode, branched_starts
        self.autoreset_mode = check_autoreset_mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space(self.world)
        self.single_action_space = self.world.config.action.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._fixed_start = check_start(start, self.world, num_envs, branched_starts)
        self._own_steps = time_limit(self.world.config.max_episode_steps, max_episode_steps)
        self._limit = torch.zeros(num_envs, dtype=torch.int64, device=self._device)  # the step that truncates
        default = self.world.config.temperature if temperature is None else temperature
        self._temperature_range = check_temperature(default, num_envs).to(self._device)
        self._temperature = self._temperature_range[0].clone()
        self._told = self._temperature.cpu().numpy()  # what infos say
        self._compiled = replace(self.world, model=compiled(self.world.model, matrix_dtype(dtype)))
        on_cpu = self._device.type == "cpu"
        invariant = check_flag("batch_invariant", batch_invariant)
        self._blocks = INVARIANT if invariant else CACHED if on_cpu else WHOLE
        self._streams = make_streams(num_envs, self.world.model.prior_noise, self._device)
        self._dropout, self._tensors = dropout, check_flag("tensors", tensors)
        self._mask = torch.ones(num_envs, self.world.model.hidden_size, device=self._device) if dropout else None
        self._rows = self._present = np.arange(num_envs)
        self._in_batch = np.ones(num_envs, bool)
        self._done = np.zeros(num_envs, bool)
        self._state: State | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """What made it, by ``gymnasium.make_vec``; ``max_episode_steps`` is the most steps of a dream."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = with_time_limit(spec, self._own_steps)

    @torch.inference_mode()
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins episodes with real first frames.

        Args:
            seed: One for all (environment i takes seed + i), one each, or None to go on with the streams.
            options: ``temperature``: number, (N,) or (low, high); ``reset_mask``: (N,) bool, which environments to
                reset.

        Returns:
            (N, Z + H) observations, and infos with the temperatures.

        Raises:
            SettingsError: If there are not N seeds, or the options are others; the dreams at hand are untouched.
            gymnasium.error.Error: If a seed is neither None nor an integer >= 0; likewise.
            ResetNeeded: If the first reset leaves environments out.
        """
        mask, temperatures = check_reset_options(options, self.num_envs)
        if self._state is None and not mask.all():
            raise gym.error.ResetNeeded("expected a reset of all environments first, got a reset_mask")
        rows = self._rows[mask]
        self._streams.reset(rows, seed)
        if temperatures is not None:
            new = temperatures.to(self._device)
            self._temperature_range = torch.where(self._there(mask), new, self._temperature_range)
        start = self._begin(rows, self._streams.draw(rows))
        self._state = start if self._state is None else self._state.with_rows(self._there(rows), start)
        self._done[mask] = False
        self._seat(self._in_batch | mask)
        return self._observation(), self._info()

    @torch.inference_mode()
    def step(
        self, actions: NDArray | torch.Tensor
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Dreams one step in every environment; those that were done begin anew as the autoreset mode says.

        Args:
            actions: One of the single space for every environment; equal numbers of another type will do, see
                :func:`dreamenv.envs.settings.check_actions`.

        Returns:
            As every vector environment of Gymnasium.

        Raises:
            InvalidAction: If an action is not in the space; the dreams go on as if they had not come.
            ResetNeeded: Before the first reset, and with autoreset disabled after an end.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before step")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._done.any():
            raise gym.error.ResetNeeded(f"expected reset of environments {np.flatnonzero(self._done)}, which are done")
        if not self._in_batch.any():
            raise gym.error.ResetNeeded("expected reset before step: all environments have left")
        action = check_actions(actions, self.world.config.action, self.num_envs).to(self._device)
        resetting = self._done & (self.autoreset_mode is AutoresetMode.NEXT_STEP)
        noise = self._streams.draw(self._present)
        state, transition = self._imagine(self._state, action, noise)
        reward = transition.reward.double().cpu().numpy()
        terminated = transition.terminated.cpu().numpy()
        truncated = ~terminated & (state.step >= self._limit).cpu().numpy() & self._in_batch
        if resetting.any():
            reward[resetting], terminated[resetting], truncated[resetting] = 0.0, False, False
            rows = np.flatnonzero(resetting)
            again = self._there(rows)
            state = state.put_rows_(again, self._begin(rows, noise.rows(again)))
        self._state, self._done = state, terminated | truncated
        observation, info = self._observation(), self._info()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._done.any():
            observation, info = self._reset_done(observation, info)
        return observation, reward, terminated, truncated, info

    def set_temperature(self, temperature: float | tuple[float, float] | NDArray) -> None:
        """Sets the temperature of all episodes that begin from now on, for a schedule in a training for example.

        Args:
            temperature: Non-negative number, (N,) array, or a pair (low, high).

        Raises:
            SettingsError: If it is out of range.
        """
        self._temperature_range = check_temperature(temperature, self.num_envs).to(self._device)

    def leave(self, mask: NDArray[np.bool_]) -> None:
        """Takes environments out of the batch until they are reset: steps neither move nor compute them.

        For a batch with fewer episodes left than environments. Those that have left pay 0 and do not end.

        Args:
            mask: (N,) bool, which environments leave.

        Raises:
            SettingsError: If environments reset themselves, or the mask is none.
        """
        if self.autoreset_mode is not AutoresetMode.DISABLED:
            raise SettingsError(f"expected autoreset mode DISABLED, got {self.autoreset_mode}")
        mask = check_mask(mask, self.num_envs)
        self._seat(self._in_batch & ~mask)
        self._done[mask] = False

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Draws every dream, (H, W, 3) uint8 each; None without a render mode."""
        if self.render_mode is None:
            return None
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before render")
        with torch.inference_mode():
            return tuple(self.world.decode(self._state))

    @torch.inference_mode(False)  # so that its tensors can be used in autograd
    def snapshot(self) -> Snapshot:
        """Keeps where the dreams stand; :meth:`restore` goes on from there bitwise, in this process or a copy of it.

        Raises:
            ResetNeeded: If no episode has begun.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("expected reset before snapshot")
        mask = None if self._mask is None else self._mask.clone()
        temperatures = self._temperature.clone(), self._temperature_range
        done, limit = self._done.copy(), self._limit.clone()
        return Snapshot(State.cat([self._state]), *temperatures, mask, done, self._in_batch, limit, self._streams.state)

    def restore(self, snapshot: Snapshot) -> NDArray[np.float32]:
        """Goes back to a snapshot of an environment of this world and size.

        Returns:
            The (N, Z + H) observations there.

        Raises:
            SettingsError: If the snapshot is of another size.
        """
        expected, got = (self.num_envs, self.world.feature_size), self.world.features(snapshot.state).shape
        if expected != got:
            raise SettingsError(f"expected a snapshot of {expected} features, got {tuple(got)}")
        if (self._mask is None) != (snapshot.mask is None):
            raise SettingsError(f"expected a snapshot of dreams {'with' if self._dropout else 'without'} dropout")
        self._state, self._done = snapshot.state, snapshot.done.copy()
        self._temperature, self._temperature_range = snapshot.temperature.clone(), snapshot.temperature_range
        self._told = self._temperature.cpu().numpy()
        self._mask = None if snapshot.mask is None else snapshot.mask.clone()
        self._limit = snapshot.limit.clone()
        self._streams.state = snapshot.streams
        self._seat(snapshot.in_batch)
        return self._observation()

    def _seat(self, in_batch: NDArray[np.bool_]) -> None:
        self._in_batch, self._present = in_batch, np.flatnonzero(in_batch)

    def _imagine(self, state: State, action: torch.Tensor, noise: Noise) -> tuple[State, Transition]:
        """One step of all environments that are in the batch; the others stand still."""
        if len(self._present) == self.num_envs:
            return self._blocks.imagine(self._compiled, state, action, self._temperature, noise, self._mask)
        rows = self._there(self._present)
        mask = None if self._mask is None else self._mask[rows]
        moved, part = self._blocks.imagine(
            self._compiled, state.rows(rows), action[rows], self._temperature[rows], noise, mask
        )
        return state.with_rows(rows, moved), part.spread(rows, self.num_envs)

    def _begin(self, rows: NDArray[np.int64], noise: Noise) -> State:
        """Draws a temperature, a mask and a start for the next episode of ``rows``, and notes when it is to end."""
        index = self._there(rows)
        low, high = self._temperature_range[:, index]
        self._temperature[index] = low + noise.uniform[:, -1] * (high - low)
        self._told = self._temperature.cpu().numpy()
        if self._mask is not None:
            self._mask[index] = self._streams.draw_mask(rows, self._mask.shape[1], self._dropout)
        if self._fixed_start is None:
            start = self._blocks.start(self.world, noise, self.branched_starts)
        else:
            start = self._fixed_start.rows(index)
        self._limit[index] = (start.step + self._own_steps).clamp(max=self.world.config.max_episode_steps)
        return start

    def _reset_done(self, observation: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """SAME_STEP: hands out final observations, and begins the next episodes at once."""
        assert self._state is not None
        rows = np.flatnonzero(self._done)
        final = np.full(self.num_envs, None, dtype=object)
        with torch.inference_mode(False):  # as in _observation
            for row in rows:
                final[row] = observation[row].clone() if self._tensors else observation[row].copy()
        self._state.put_rows_(self._there(rows), self._begin(rows, self._streams.draw(rows)))  # made by this step
        done = self._done
        self._done = np.zeros(self.num_envs, bool)
        final_info = {"temperature": info["temperature"].copy(), "_temperature": done.copy()}
        extra = {"final_obs": final, "_final_obs": done, "final_info": final_info, "_final_info": done.copy()}
        return self._observation(), {**self._info(), **extra}

    def _observation(self) -> Any:
        assert self._state is not None
        if not self._tensors:
            return self.world.features(self._state).cpu().numpy()
        with torch.inference_mode(False):  # a new tensor that can be used in autograd
            return self.world.features(self._state)

    def _info(self) -> dict[str, Any]:
        return {"temperature": self._told.copy(), "_temperature": np.ones(self.num_envs, bool)}

    def _there(self, array: NDArray) -> torch.Tensor:
        """An array where the dreams are."""
        return torch.from_numpy(array).to(self._device)


def observation_space(world: World) -> gym.spaces.Box:
    """The space of [z, h] in the dream and in reality."""
    low, high = world.view.bounds(world.model, world.config.max_episode_steps)
    return gym.spaces.Box(low, high, dtype=np.float32)
