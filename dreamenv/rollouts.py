"""The one loop in which a policy acts in an environment: to collect, to evolve and to compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from dreamenv.foundation.errors import SettingsError


class Policy(Protocol):
    """Whatever answers Stable-Baselines3's ``predict``."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Chooses actions.

        Args:
            observation: (B, ...) observations, or a single one.
            state: What the previous call returned; None in the first one.
            episode_start: (B,) bool, True where an episode begins with this observation.
            deterministic: Act greedily instead of sampling.

        Returns:
            (B,) or (B, A) actions, and the state for the next call.
        """
        ...


@dataclass(frozen=True)
class Trajectory:
    """What happened at every step of one episode: (T + 1, ...) observations, (T, ...) actions, (T,) rewards."""

    observations: NDArray
    actions: NDArray
    rewards: NDArray


@dataclass(frozen=True)
class Outcome:
    """How one episode went.

    Attributes:
        index: Position of the episode's seed in the sequence given to :func:`rollout`.
        seed: What the environment was reset with.
        episode_return: Undiscounted sum of rewards.
        final_reward: Reward of the last step.
        length: Number of steps.
        terminated: Whether the environment ended the episode (the time limit did otherwise).
        trajectory: Every step, if recorded.
    """

    index: int
    seed: int
    episode_return: float
    final_reward: float
    length: int
    terminated: bool
    trajectory: Trajectory | None = None


def rollout(
    env: gym.vector.VectorEnv,
    policy: Policy,
    seeds: Sequence[int],
    *,
    deterministic: bool = False,
    record: bool = False,
    options: dict[str, Any] | None = None,
    on_observation: Callable[[], None] | None = None,
    on_step: Callable[[int], Any] | None = None,
) -> Iterator[Outcome]:
    """Plays one episode per seed; a slot of the vector environment that is done takes the next seed.

    Episodes begin in the order of ``seeds``, lower slots first. Slots left without a seed leave the batch if the
    environment can do that (``leave``, as dreams and ``make_real_vector`` can); else they repeat the last one until the
    others are done, unreported.

    Args:
        env: A vector environment with autoreset disabled.
        policy: Who acts.
        seeds: One per episode.
        deterministic: Whether the policy acts greedily.
        record: Whether outcomes carry their trajectory.
        options: Passed to every reset.
        on_observation: Called after every reset and step, to render for example.
        on_step: Called after every step of the batch with the number of episodes that took it, for progress bars.

    Yields:
        Outcomes, in the order in which the episodes end.

    Raises:
        SettingsError: If the environment resets itself.
    """
    if env.metadata.get("autoreset_mode") is not AutoresetMode.DISABLED:
        raise SettingsError(f"expected a vector environment with autoreset disabled, got {env.metadata}")
    if not len(seeds):
        return
    slots = _Slots(env.num_envs, seeds)
    history = _History(env.num_envs) if record else None
    observation, _ = env.reset(seed=slots.seeds(), options=dict(options or {}))  # type: ignore[arg-type]
    state, start = None, np.ones(env.num_envs, bool)
    _leave(env, ~slots.active)
    while slots.busy:
        if on_observation:
            on_observation()
        action, state = policy.predict(observation, state, start, deterministic)
        previous = observation
        observation, reward, terminated, truncated, _ = env.step(action)
        if history:
            history.add(slots.active, previous, action, reward)
        start = terminated | truncated
        slots.advance(reward)
        if on_step:
            on_step(int(slots.active.sum()))
        if start.any():
            if on_observation:
                on_observation()
            for slot in np.flatnonzero(start & slots.active).tolist():
                trajectory = history.cut(slot, observation[slot]) if history else None
                yield slots.outcome(slot, reward[slot], terminated[slot], trajectory)
            slots.refill(start)
            again = start & ~_leave(env, ~slots.active)
            if slots.busy and again.any():
                mask = {**(options or {}), "reset_mask": again}
                observation, _ = env.reset(seed=slots.seeds(), options=mask)  # type: ignore[arg-type]


def _leave(env: gym.vector.VectorEnv, idle: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Takes idle slots out of the batch where the environment can do that; says which are out."""
    leave = getattr(env, "leave", None)
    if leave and idle.any():
        leave(idle)
    return idle if leave else np.zeros_like(idle)


class _Slots:
    """Which episode every slot of the vector environment is in, and how far."""

    def __init__(self, num_envs: int, seeds: Sequence[int]) -> None:
        self._seeds = seeds
        self.index = np.arange(num_envs)
        self._next = num_envs
        self.episode_return = np.zeros(num_envs)
        self.length = np.zeros(num_envs, np.int64)

    @property
    def active(self) -> NDArray[np.bool_]:
        return self.index < len(self._seeds)

    @property
    def busy(self) -> bool:
        return bool(self.active.any())

    def seeds(self) -> list[int]:
        return [int(self._seeds[min(index, len(self._seeds) - 1)]) for index in self.index.tolist()]

    def advance(self, reward: NDArray) -> None:
        self.episode_return += reward
        self.length += 1

    def outcome(self, slot: int, reward: float, terminated: bool, trajectory: Trajectory | None) -> Outcome:
        index = int(self.index[slot])
        total, length = float(self.episode_return[slot]), int(self.length[slot])
        return Outcome(index, self._seeds[index], total, float(reward), length, bool(terminated), trajectory)

    def refill(self, done: NDArray[np.bool_]) -> None:
        self.index[done] = self._next + np.arange(done.sum())
        self._next += int(done.sum())
        self.episode_return[done] = 0.0
        self.length[done] = 0


class _History:
    """The steps of every slot's open episode; those of an idle slot and of finished episodes are not kept."""

    def __init__(self, num_envs: int) -> None:
        self._steps: list[list[tuple[NDArray, NDArray, NDArray]]] = [[] for _ in range(num_envs)]

    def add(self, active: NDArray[np.bool_], observation: NDArray, action: NDArray, reward: NDArray) -> None:
        for slot in np.flatnonzero(active).tolist():  # copied: a view would keep the frames of all slots
            self._steps[slot].append((np.array(observation[slot]), np.array(action[slot]), np.array(reward[slot])))

    def cut(self, slot: int, final_observation: NDArray) -> Trajectory:
        steps, self._steps[slot] = self._steps[slot], []
        observations, actions, rewards = zip(*steps, strict=True)
        return Trajectory(
            np.stack([*observations, final_observation]), np.asarray(actions), np.asarray(rewards, np.float32)
        )
