"""Signs that an agent exploits the errors of its dream, computed from dreamed and recorded episodes alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.data.episodes import Episode
from dreamenv.evaluate.scores import is_success
from dreamenv.recordings import record
from dreamenv.rollouts import Outcome, Policy
from dreamenv.verdict.offpolicy import Experience, experience, off_policy_return
from dreamenv.world import World

NEIGHBOURS, REFERENCES, QUERIES = 5, 15_000, 2_000
FEW_SUCCESSES = 15  # with fewer recorded ones, no dream is confirmed, and the quickest success is unknown


@dataclass(frozen=True)
class Records:
    """Recorded real episodes, followed by the world.

    Attributes:
        seen: Every step of the episodes that M learned from.
        seen_steps: Length of each of them.
        seen_successes: Which of them ended well, (E,) bool.
        held_out: Features of the other episodes, (N, F) float32.
    """

    seen: Experience
    seen_steps: Tensor
    seen_successes: Tensor
    held_out: Tensor


def read_records(world: World, seen: Sequence[Episode], held_out: Sequence[Episode]) -> Records:
    """Encodes recorded episodes and follows them with M."""
    learned, unseen = (record(world.model, episodes, world.config) for episodes in (seen, held_out))
    kinds = enumerate(world.config.endings, start=1)
    better = torch.tensor([index for index, kind in kinds if kind == "better"], dtype=torch.int64)
    return Records(
        seen=experience(world, learned),
        seen_steps=torch.tensor([len(recording) for recording in learned]),
        seen_successes=torch.isin(torch.stack([recording.ending[-1] for recording in learned]), better),
        held_out=experience(world, unseen, seed=1).features,
    )


def neighbour_distance(points: Tensor, references: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Mean distance of (N, D) points from their nearest among (M, D) references, (N,)."""
    return torch.cat(
        [torch.cdist(part, references).topk(neighbours, largest=False).values.mean(1) for part in points.split(512)]
    )


def exceedance(values: Tensor, usual: Tensor) -> Tensor:
    """Share of (M,) usual values that each of (N,) values exceeds, (N,); 0.5 on average if they are alike."""
    return torch.searchsorted(usual.sort().values, values) / len(usual)


def novelty(world: World, records: Records, dreamed: Tensor) -> Tensor:
    """Probability that h of (N, F) features is farther from all that M learned from than the h of a real state.

    Real ones are those of held-out episodes, so states like theirs have 0.5 on average.
    """
    h = slice(world.model.latent_size, world.model.latent_size + world.model.hidden_size)
    references = _sample(records.seen.features, REFERENCES)[:, h]
    spread = references.std(0).clamp(min=1e-3)
    dream, real = (
        neighbour_distance(part[:, h] / spread, references / spread)
        for part in (dreamed, _sample(records.held_out, QUERIES))
    )
    return exceedance(dream, real)


def haste(world: World, records: Records, outcomes: Sequence[Outcome]) -> float:
    """Share of the dreamed successes that took fewer steps than any recorded one; 0 without, or with few recorded."""
    steps = [outcome.length for outcome in outcomes if is_success(outcome, world.config)]
    if not steps or int(records.seen_successes.sum()) < FEW_SUCCESSES:
        return 0.0
    return float(np.mean(np.array(steps) < int(records.seen_steps[records.seen_successes].min())))


def shortfall(
    world: World, agent: Policy, records: Records, outcomes: Sequence[Outcome], *, gamma: float, ridge: float
) -> float:
    """Share of the dream's discounted return that recorded episodes do not confirm; negative where they exceed it.

    If recorded returns are negative, both returns are measured from the smallest of them. Regularisation then shrinks
    the estimate to that return; 0 would be optimistic. The denominator is at least a tenth of the largest recorded
    return, because shares of a near-zero promise are meaningless.
    """
    promise = float(np.mean([discounted(outcome, gamma) for outcome in outcomes]))
    recorded = [_discount(part, gamma) for part in _rewards_by_episode(records)]
    floor = min(0.0, min(recorded))
    data = records.seen
    if floor:  # Q - floor obeys Bellman's equation with these rewards
        data = dataclasses.replace(data, reward=data.reward - floor * (1.0 - gamma * (~data.last).float()))
    confirmed = floor + off_policy_return(world, agent, data, gamma=gamma, ridge=ridge)
    return (promise - confirmed) / _scale(promise, recorded)


def excess(records: Records, outcomes: Sequence[Outcome]) -> float:
    """Share of the dream's mean return by which it is above that of every recorded episode; negative if below."""
    promise = float(np.mean([outcome.episode_return for outcome in outcomes]))
    recorded = recorded_returns(records)
    return (promise - max(recorded)) / _scale(promise, recorded)


def recorded_returns(records: Records) -> list[float]:
    """Return of every episode that M learned from."""
    return [float(part.sum()) for part in _rewards_by_episode(records)]


def _rewards_by_episode(records: Records) -> list[NDArray]:
    return np.split(records.seen.reward.numpy(), records.seen.starts.numpy()[1:])


def _scale(promise: float, recorded: Sequence[float]) -> float:
    """Denominator of shares of a promise: its distance from 0, or from the smallest recorded return if negative."""
    floor = min(0.0, min(recorded))
    return max(abs(promise - floor), 0.1 * float(np.abs(np.subtract(recorded, floor)).max()), 1e-6)


def discounted(outcome: Outcome, gamma: float) -> float:
    """Discounted return of a recorded outcome."""
    assert outcome.trajectory is not None
    return _discount(outcome.trajectory.rewards, gamma)


def _discount(rewards: NDArray, gamma: float) -> float:
    return float(rewards @ gamma ** np.arange(len(rewards)))


def _sample(rows: Tensor, count: int) -> Tensor:
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]
    return rows[chosen]


@dataclass(frozen=True)
class Strip:
    """The part of a dream that is farthest from the records.

    Attributes:
        dreamed: Consecutive dreamed frames, (N, H, W, 3) uint8.
        recorded: The recorded frame most like each of them, (N, H, W, 3) uint8.
        step: Their number in the dreamed episode, (N,).
        novelty: See :func:`novelty`, (N,).
    """

    dreamed: NDArray[np.uint8]
    recorded: NDArray[np.uint8]
    step: NDArray[np.int64]
    novelty: NDArray[np.float32]


@torch.inference_mode()
def strangest_moments(
    world: World, records: Records, seen: Sequence[Episode], outcomes: Sequence[Outcome], frames: int = 12
) -> Strip:
    """Decodes the dreamed episode that is farthest from the records, around its most novel state.

    Args:
        world: Decodes states.
        records: The records of ``seen`` and of held-out episodes.
        seen: The recorded episodes that M learned from.
        outcomes: Dreamed episodes, recorded.
        frames: Number of frames, at most.

    Returns:
        The frames, and the most similar recorded ones.
    """
    size = world.model.latent_size
    states = [torch.from_numpy(o.trajectory.observations) for o in outcomes if o.trajectory is not None]
    values = novelty(world, records, torch.cat(states)).split([len(part) for part in states])
    worst = max(range(len(states)), key=lambda index: float(values[index].mean()))
    first = max(0, min(int(values[worst].argmax()) - frames // 2, len(states[worst]) - frames))
    moments = slice(first, first + frames)
    shown = states[worst][moments]
    step = torch.arange(first, first + len(shown))
    nearest = torch.cdist(shown[:, :size], records.seen.features[:, :size]).argmin(1)
    return Strip(
        dreamed=world.decode(dataclasses.replace(world.state_of(shown), step=step)),
        recorded=_frames(seen, records.seen.starts, nearest),
        step=step.numpy(),
        novelty=values[worst][moments].numpy(),
    )


def _frames(episodes: Sequence[Episode], starts: Tensor, rows: Tensor) -> NDArray[np.uint8]:
    """Frames before the steps with the given (N,) numbers, counted over all episodes."""
    which = torch.searchsorted(starts, rows, right=True) - 1
    steps = rows - starts[which]
    return np.stack([episodes[e].observations[t] for e, t in zip(which.tolist(), steps.tolist(), strict=True)])
