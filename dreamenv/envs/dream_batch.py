"""A batch of dreams: their states, what each episode draws at its beginning, one step of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from dreamenv.engine.blocks import CACHED, INVARIANT, WHOLE
from dreamenv.engine.packed import compiled
from dreamenv.envs.counters import CountersState, make_streams
from dreamenv.envs.streams import StreamsState
from dreamenv.models.base import State, Transition
from dreamenv.models.noise import Noise
from dreamenv.world import World

Outcome: TypeAlias = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class Snapshot:
    """A copy of everything that the next steps of a :class:`DreamBatch` depend on."""

    state: State
    temperature: torch.Tensor
    temperature_range: torch.Tensor
    mask: torch.Tensor | None
    done: NDArray[np.bool_]
    active: NDArray[np.bool_]
    limit: torch.Tensor
    streams: StreamsState | CountersState


@dataclass(frozen=True)
class DreamSettings:
    """Settings of the episodes in a batch, checked; see :class:`dreamenv.DreamVectorEnv`.

    Attributes:
        branched_starts: Probability that an episode begins in the middle of a real one.
        start: (N,) states in which all episodes begin; the world's bank if None.
        dropout: Share of h that M's heads do not see.
        max_steps: Steps of a dream after which it is truncated.
        dtype: Of M's matrix products.
        batch_invariant: Whether an episode has the same bits in a batch of any size.
    """

    branched_starts: float
    start: State | None
    dropout: float
    max_steps: int
    dtype: torch.dtype
    batch_invariant: bool


class DreamBatch:
    """N dreams of one world that advance as one batch.

    Args:
        world: The world, on the device of the computation.
        num_envs: N.
        temperature_range: (2, N) float64, the lowest and the highest temperature of new episodes.
        settings: Settings of the episodes.

    Attributes:
        settings: As the argument.
        device: Device of the computation.
        state: States of the dreams; None before the first reset.
        done: (N,) bool, whether the episode has ended.
        active: (N,) bool, whether steps compute the dream.
        temperature_range: As the argument.
        reported_temperature: (N,) temperatures of the episodes, in host memory.
        streams: Random numbers.
    """

    def __init__(self, world: World, num_envs: int, temperature_range: torch.Tensor, settings: DreamSettings) -> None:
        device = world.device
        self.settings = settings
        self.device = device
        self._world, self._num_envs = world, num_envs
        self._compiled = replace(world, model=compiled(world.model, settings.dtype))
        self._blocks = INVARIANT if settings.batch_invariant else CACHED if device.type == "cpu" else WHOLE
        self.streams = make_streams(num_envs, world.model.prior_noise, device)
        self.state: State | None = None
        self.done = np.zeros(num_envs, bool)
        self.set_active(np.ones(num_envs, bool))
        self.set_temperature_range(temperature_range)
        self._temperature = self.temperature_range[0].clone()
        self.reported_temperature = self._temperature.cpu().numpy()
        self._mask = torch.ones(num_envs, world.model.hidden_size, device=device) if settings.dropout else None
        self._limit = torch.zeros(num_envs, dtype=torch.int64, device=device)  # the step that truncates

    @property
    def has_dropout(self) -> bool:
        """Whether M's heads see only a share of h."""
        return self._mask is not None

    def set_temperature_range(self, temperature_range: torch.Tensor) -> None:
        """Sets the (2, N) range from which new episodes draw their temperatures."""
        self.temperature_range = temperature_range.to(self.device)

    def set_active(self, active: NDArray[np.bool_]) -> None:
        """Sets which dreams the following steps compute; the others keep their states, pay 0 and do not end."""
        self.active, self._active_rows = active, np.flatnonzero(active)

    def reset(
        self, mask: NDArray[np.bool_], seed: int | Sequence[int | None] | None, temperature_range: torch.Tensor | None
    ) -> None:
        """Begins new episodes where ``mask`` is True, for which ``temperature_range`` replaces the present one."""
        rows = np.flatnonzero(mask)
        self.streams.reset(rows, seed)
        if temperature_range is not None:
            new = temperature_range.to(self.device)
            self.temperature_range = torch.where(self._to_device(mask), new, self.temperature_range)
        start = self._begin(rows, self.streams.draw(rows))
        self.state = start if self.state is None else self.state.with_rows(self._to_device(rows), start)
        self.done[mask] = False
        self.set_active(self.active | mask)

    def step(self, action: torch.Tensor, resetting: NDArray[np.bool_]) -> Outcome:
        """Computes one step of the active dreams.

        Args:
            action: (N,) int64 or (N, A) float32, on the device.
            resetting: (N,) bool, which dreams begin a new episode instead of taking the step.

        Returns:
            (N,) rewards, terminated and truncated.
        """
        assert self.state is not None
        noise = self.streams.draw(self._active_rows)
        state, transition = self._imagine(self.state, action, noise)
        reward = transition.reward.double().cpu().numpy()
        terminated = transition.terminated.cpu().numpy()
        truncated = ~terminated & (state.step >= self._limit).cpu().numpy() & self.active
        if resetting.any():
            reward[resetting], terminated[resetting], truncated[resetting] = 0.0, False, False
            rows = np.flatnonzero(resetting)
            index = self._to_device(rows)
            state = state.put_rows_(index, self._begin(rows, noise.rows(index)))
        self.state, self.done = state, terminated | truncated
        return reward, terminated, truncated

    def restart_done(self) -> None:
        """Begins new episodes where the last step ended one; overwrites the tensors of that step's state."""
        assert self.state is not None
        rows = np.flatnonzero(self.done)
        self.state.put_rows_(self._to_device(rows), self._begin(rows, self.streams.draw(rows)))
        self.done = np.zeros(self._num_envs, bool)

    def snapshot(self) -> Snapshot:
        """Copies everything that the next steps depend on."""
        assert self.state is not None
        return Snapshot(
            state=State.cat([self.state]),
            temperature=self._temperature.clone(),
            temperature_range=self.temperature_range,
            mask=None if self._mask is None else self._mask.clone(),
            done=self.done.copy(),
            active=self.active,
            limit=self._limit.clone(),
            streams=self.streams.state,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Continues from a snapshot of a batch of this size, world and dropout."""
        self.state, self.done = snapshot.state, snapshot.done.copy()
        self._temperature, self.temperature_range = snapshot.temperature.clone(), snapshot.temperature_range
        self.reported_temperature = self._temperature.cpu().numpy()
        self._mask = None if snapshot.mask is None else snapshot.mask.clone()
        self._limit = snapshot.limit.clone()
        self.streams.state = snapshot.streams
        self.set_active(snapshot.active)

    def _imagine(self, state: State, action: torch.Tensor, noise: Noise) -> tuple[State, Transition]:
        """Computes one step of the active dreams; the states of the others stay."""
        if len(self._active_rows) == self._num_envs:
            return self._blocks.imagine(self._compiled, state, action, self._temperature, noise, self._mask)
        rows = self._to_device(self._active_rows)
        mask = None if self._mask is None else self._mask[rows]
        moved, part = self._blocks.imagine(
            self._compiled, state.rows(rows), action[rows], self._temperature[rows], noise, mask
        )
        return state.with_rows(rows, moved), part.spread(rows, self._num_envs)

    def _begin(self, rows: NDArray[np.int64], noise: Noise) -> State:
        """Draws temperature, dropout mask and start of new episodes in ``rows``; sets their time limits."""
        index, settings = self._to_device(rows), self.settings
        low, high = self.temperature_range[:, index]
        self._temperature[index] = low + noise.uniform[:, -1] * (high - low)
        self.reported_temperature = self._temperature.cpu().numpy()
        if self._mask is not None:
            self._mask[index] = self.streams.draw_mask(rows, self._mask.shape[1], settings.dropout)
        if settings.start is None:
            start = self._blocks.start(self._world, noise, settings.branched_starts)
        else:
            start = settings.start.rows(index)
        self._limit[index] = (start.step + settings.max_steps).clamp(max=self._world.config.max_episode_steps)
        return start

    def _to_device(self, array: NDArray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)
