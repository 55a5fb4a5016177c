"""Estimates an agent's real return from recorded episodes, without real steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.heads import scale_action
from dreamenv.models.view import View
from dreamenv.recordings import Recording
from dreamenv.rollouts import Policy
from dreamenv.world import World

BLOCK = 4096  # transitions in memory at once


@dataclass(frozen=True)
class Experience:
    """Recorded transitions as an agent of the world sees them.

    Attributes:
        features: Observations before every step, (N, F) float32: [z, h], then what else the agent sees.
        next_features: After it, (N, F).
        action: The actions taken, (N,) int64 or (N, A) float32.
        reward: (N,) float32.
        last: Whether the step is the last of its episode, by an ending or the time limit, (N,) bool.
        elapsed: Share of the time limit used before the step, (N,) float32.
        starts: Rows at which an episode begins, (E,) int64.
        means: [z, h] with z at the posterior's mean, of all T + 1 states of each episode, (N + E, Z + H): the
            regressors of values, because noise in regressors biases the weights to 0; the features if None.
    """

    features: Tensor
    next_features: Tensor
    action: Tensor
    reward: Tensor
    last: Tensor
    elapsed: Tensor
    starts: Tensor
    means: Tensor | None = None


@torch.inference_mode()
def experience(world: World, episodes: Sequence[Recording], seed: int = 0) -> Experience:
    """Recorded episodes as features, as an agent of the world would have seen them.

    Args:
        world: Follows the episodes; its observations are the features.
        episodes: The episodes.
        seed: Seed of the draws of z from every frame's posterior; agents see drawn z in reality, too.
    """
    features = [world.features(trace.states) for trace in world.follow(episodes, seed)]
    means = [View(("z", "h")).features(trace.states) for trace in world.follow(episodes, seed=None)]
    lengths = torch.tensor([len(episode) for episode in episodes])
    step, ending = (torch.cat([getattr(episode, name) for episode in episodes]) for name in ("step", "ending"))
    return Experience(
        features=torch.cat([rows[:-1] for rows in features]),
        next_features=torch.cat([rows[1:] for rows in features]),
        action=torch.cat([episode.action for episode in episodes]),
        reward=torch.cat([episode.reward for episode in episodes]),
        last=(ending > 0) | (step >= world.config.max_episode_steps),
        elapsed=(step - 1) / world.config.max_episode_steps,
        starts=lengths.cumsum(0) - lengths,
        means=torch.cat(means),
    )


@torch.inference_mode()
def off_policy_return(world: World, agent: Policy, data: Experience, *, gamma: float, ridge: float = 1.0) -> float:
    """Discounted return of the greedy agent from the recorded starts, by least squares on recorded transitions.

    LSTD-Q (Lagoudakis and Parr 2003, Least-Squares Policy Iteration): Q is linear in the products of the action
    (one-hot, or 1 and the scaled components) and the standardised [z, h, elapsed, 1]. The dream
    enters through h only. The agent acts on drawn z, as in reality. Like every such estimate, it is unreliable for
    states that the records lack.

    Args:
        world: Gives the action space.
        agent: The agent; one that holds actions is valued as if it decided at every step.
        data: Recorded transitions, of any other policies.
        gamma: Discount.
        ridge: Regularisation, in transitions. It shrinks the estimate to 0, more so with fewer transitions:
            a cautious bias where rewards are positive.

    Returns:
        Mean value of the starts.
    """
    inputs = _Inputs(data, world.config.max_episode_steps)
    spec = world.config.action
    size = _action_features(spec, data.action[:1]).shape[1] * inputs.size
    matrix, vector = ridge * torch.eye(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for rows in _blocks(len(data.reward)):
        here = _products(_action_features(spec, data.action[rows]), inputs.now(rows))
        following = _products(_action_features(spec, _act(agent, data.next_features[rows])), inputs.following(rows))
        matrix += (here.T @ (here - gamma * following * ~data.last[rows, None])).double()
        vector += (here.T @ data.reward[rows]).double()
    weights = torch.linalg.solve(matrix, vector).float()
    first = _action_features(spec, _act(agent, data.features[data.starts]))
    return float((_products(first, inputs.now(data.starts)) @ weights).mean())


class _Inputs:
    """Standardised [z, h, elapsed, 1] of recorded states."""

    def __init__(self, data: Experience, limit: int) -> None:
        self._data, self._step = data, 1.0 / limit
        everything = self._states(torch.arange(len(data.reward)))
        self._mean, self._spread = everything.mean(0), everything.std(0).clamp(min=1e-3)
        self.size = everything.shape[1] + 2

    def now(self, rows: Tensor) -> Tensor:
        return self._standardise(self._states(rows), self._data.elapsed[rows])

    def following(self, rows: Tensor) -> Tensor:
        return self._standardise(self._states(rows, after=True), self._data.elapsed[rows] + self._step)

    def _states(self, rows: Tensor, after: bool = False) -> Tensor:
        """[z, h] before the steps with these numbers, or after them."""
        if self._data.means is None:
            return (self._data.next_features if after else self._data.features)[rows]
        episodes_before = (
            torch.searchsorted(self._data.starts, rows, right=True) - 1
        )  # each has a state more than steps
        return self._data.means[rows + episodes_before + int(after)]

    def _standardise(self, features: Tensor, elapsed: Tensor) -> Tensor:
        scaled = (features - self._mean) / self._spread
        return torch.cat([scaled, elapsed[:, None], torch.ones(len(scaled), 1)], dim=1)


def _act(agent: Policy, features: Tensor) -> Tensor:
    actions, _ = agent.predict(features.numpy(), None, np.ones(len(features), bool), True)
    return torch.as_tensor(actions)


def _action_features(spec: ActionSpec, action: Tensor) -> Tensor:
    if spec.discrete:
        return torch.nn.functional.one_hot(action.long(), spec.n).float()
    low, high = torch.tensor(spec.low), torch.tensor(spec.high)
    return torch.cat([torch.ones(len(action), 1), scale_action(action, low, high)], dim=1)


def _products(left: Tensor, right: Tensor) -> Tensor:
    """Outer products of (N, A) and (N, D) rows, (N, A * D)."""
    return (left[:, :, None] * right[:, None, :]).flatten(1)


def _blocks(count: int) -> Iterator[Tensor]:
    yield from torch.arange(count).split(BLOCK)
