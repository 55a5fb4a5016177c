"""Scores of a policy over fixed episodes, with intervals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from dreamenv.config import WorldConfig
from dreamenv.rollouts import Outcome, Policy, rollout

Place = Literal["dream", "real"]


@dataclass(frozen=True)
class Score:
    """Returns, lengths and successes of a policy in one place.

    Attributes:
        policy: Name of the policy; for the agent of a comparison, see :func:`agent_label`.
        place: The dream or the real environment.
        temperature: Temperature of the dream; None in reality.
        seeds: First and last seed of the episodes, which are consecutive.
        mean: Mean undiscounted return.
        std: Standard deviation of the returns.
        low: Lower end of the 95% bootstrap interval of the mean.
        high: Its upper end.
        success: Share of successes, None if the world defines no success.
        success_low: Lower end of the share's 95% interval (Wilson).
        success_high: Its upper end.
        length: Mean length in steps.
        returns: Every episode's return, in the order of seeds.
        lengths: Every episode's length.
        successes: Whether every episode was a success.
        deterministic: Whether the policy acted greedily.
        baseline: Whether the policy is one that ignores observations, for comparison with the agent.
    """

    policy: str
    place: Place
    temperature: float | None
    seeds: tuple[int, int]
    mean: float
    std: float
    low: float
    high: float
    success: float | None
    success_low: float | None
    success_high: float | None
    length: float
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    successes: tuple[bool, ...]
    deterministic: bool
    baseline: bool


UNIFORM = "uniform random"
CONSTANT = "always "  # begins the names of policies that always take the same action


def agent_label(deterministic: bool) -> str:
    """Name of the compared agent in tables, figures and records."""
    return f"agent, {'greedy' if deterministic else 'sampling'}"


def complete_record(record: Any) -> Any:
    """Adds ``deterministic`` and ``baseline`` to a score's JSON of older versions, which has only the policy's name."""
    if not (isinstance(record, dict) and isinstance(policy := record.get("policy"), str)):
        return record
    return {
        "deterministic": policy not in (UNIFORM, agent_label(deterministic=False)),
        "baseline": policy == UNIFORM or policy.startswith(CONSTANT),
        **record,
    }


class UniformPolicy:
    """Draws every action uniformly from the action space.

    Args:
        space: The action space of one environment.
        seed: Seed of the draws.
    """

    def __init__(self, space: gym.Space, seed: int = 0) -> None:
        self._space = space
        self._space.seed(seed)

    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Chooses (B,) or (B, A) actions."""
        return np.stack([self._space.sample() for _ in observation]), state


class ConstantPolicy:
    """Always takes the same action.

    Args:
        action: A discrete action, or (A,).
    """

    def __init__(self, action: Any) -> None:
        self.action = action

    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Chooses (B,) or (B, A) actions."""
        return np.stack([self.action] * len(observation)), state


def score(
    env: gym.vector.VectorEnv,
    policy: Policy,
    seeds: Sequence[int],
    config: WorldConfig,
    *,
    name: str,
    deterministic: bool = False,
    baseline: bool = False,
    temperature: float | None = None,
    on_step: Callable[[int], Any] | None = None,
) -> Score:
    """Plays the episodes and summarises them.

    Args:
        env: Dream or latent real environment, autoreset disabled.
        policy: The policy; its draws are seeded with the first seed.
        seeds: Consecutive seeds, one per episode.
        config: Settings of the world, which define success.
        name: Name of the policy, for the record.
        deterministic: Whether the policy acts greedily.
        baseline: Whether the policy ignores observations.
        temperature: Temperature of the dream; None in reality.
        on_step: As for :func:`~dreamenv.rollouts.rollout`.

    Returns:
        The score.
    """
    options = None if temperature is None else {"temperature": temperature}
    with _seeded(policy, seeds[0]):
        outcomes = list(rollout(env, policy, seeds, deterministic=deterministic, options=options, on_step=on_step))
    return summarise(
        outcomes, config, name=name, temperature=temperature, deterministic=deterministic, baseline=baseline
    )


@contextlib.contextmanager
def _seeded(policy: Policy, seed: int) -> Iterator[None]:
    """Seeds the draws of a policy; restores global generators afterwards.

    Stable-Baselines3 draws actions from torch's global generator; DQN those that explore from NumPy's, and from its
    action space.
    """
    from stable_baselines3.common.base_class import BaseAlgorithm

    before = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            if isinstance(policy, BaseAlgorithm):
                np.random.seed(seed)  # noqa: NPY002
                policy.action_space.seed(seed)
            elif hasattr(policy, "set_random_seed"):
                policy.set_random_seed(seed)
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def summarise(
    outcomes: Iterable[Outcome],
    config: WorldConfig,
    *,
    name: str,
    temperature: float | None,
    deterministic: bool = True,
    baseline: bool = False,
) -> Score:
    """Summarises finished episodes; the arguments are those of :func:`score`."""
    import scipy.stats

    ordered = sorted(outcomes, key=lambda outcome: outcome.index)
    returns = np.array([outcome.episode_return for outcome in ordered])
    lengths = np.array([outcome.length for outcome in ordered])
    successes = np.array([is_success(outcome, config) for outcome in ordered])
    low, high = bootstrap_interval(returns)
    known = config.success_reward is not None
    wilson = scipy.stats.binomtest(int(successes.sum()), len(ordered)).proportion_ci(method="wilson")
    return Score(
        policy=name,
        place="real" if temperature is None else "dream",
        temperature=temperature,
        seeds=(ordered[0].seed, ordered[-1].seed),
        mean=float(returns.mean()),
        std=float(returns.std()),
        low=low,
        high=high,
        success=float(successes.mean()) if known else None,
        success_low=float(wilson.low) if known else None,
        success_high=float(wilson.high) if known else None,
        length=float(lengths.mean()),
        returns=tuple(map(float, returns)),
        lengths=tuple(map(int, lengths)),
        successes=tuple(map(bool, successes)),
        deterministic=deterministic,
        baseline=baseline,
    )


def is_success(outcome: Outcome, config: WorldConfig) -> bool:
    """Whether an episode ended by itself, on a step that paid more than ``config.success_reward``."""
    return config.success_reward is not None and outcome.terminated and outcome.final_reward > config.success_reward


def bootstrap_interval(values: NDArray, seed: int = 0) -> tuple[float, float]:
    """95% percentile bootstrap interval of the mean of (n,) values (Efron 1979); the mean twice if all are equal."""
    import scipy.stats

    if np.ptp(values) == 0.0:
        return float(values[0]), float(values[0])
    generator = np.random.default_rng(seed)
    result = scipy.stats.bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=generator)
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
