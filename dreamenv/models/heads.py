"""Heads of world models for the ending and the reward of a step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dreamenv.foundation.spaces import ActionSpec

EndingRule = Literal["threshold", "sample"]


class EndingHead(nn.Module):
    """Classifies a step: 0 goes on, 1 to kinds - 1 are the kinds of endings.

    Training weights rare endings and draws them more often, which shifts the logits by a known amount. Subtracting
    ``shift`` makes :meth:`probabilities` those of the data (logit adjustment, Menon et al. 2020).

    Args:
        hidden_size: H.
        kinds: Ways a step can end, "goes on" included.
        continue_logit: Whether "goes on" has a learned logit. Without, it is 0, and the head of a single kind of ending
            is a logistic regression.
    """

    shift: Tensor

    def __init__(self, hidden_size: int, kinds: int, continue_logit: bool = True) -> None:
        super().__init__()
        self._outputs = kinds if continue_logit else kinds - 1
        linear = nn.Linear(hidden_size, self._outputs) if self._outputs else nn.Identity()
        self.linear: nn.Linear = linear  # type: ignore[assignment]
        self._fixed_logits = 0 if continue_logit else 1
        self.register_buffer("shift", torch.zeros(kinds))

    def forward(self, h: Tensor) -> Tensor:
        """Training logits, not calibrated, (..., kinds) from h (..., H)."""
        return F.pad(self.linear(h)[..., : self._outputs], (self._fixed_logits, 0))

    def probabilities(self, h: Tensor) -> Tensor:
        """Calibrated probabilities (..., kinds) from h (..., H)."""
        return self.calibrate(self(h))

    def calibrate(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities (..., kinds) from training logits (..., kinds)."""
        return torch.softmax(logits - self.shift, dim=-1)


def decide_ending(probabilities: Tensor, rules: Sequence[EndingRule], uniform: Tensor) -> Tensor:
    """Decides how a dreamed step ends.

    A kind under ``"threshold"`` happens exactly when its probability exceeds one half. This is the rule of World
    Models: steadier than a draw, and an agent cannot collect small chances of a goal. A kind under ``"sample"`` is
    drawn.

    Args:
        probabilities: (B, kinds); column 0 is "goes on".
        rules: One rule for each of the columns from 1 on.
        uniform: (B,) in [0, 1).

    Returns:
        (B,) int64, 0 where the episode goes on.
    """
    ending = torch.zeros_like(uniform, dtype=torch.int64)
    sampled = [kind for kind, rule in enumerate(rules, 1) if rule == "sample"]
    cumulative = list(accumulate(probabilities[:, kind] for kind in sampled))
    for kind, bound in zip(reversed(sampled), reversed(cumulative), strict=True):
        ending.masked_fill_(uniform < bound, kind)
    for kind, rule in enumerate(rules, 1):
        if rule == "threshold":
            ending.masked_fill_(probabilities[:, kind] > 0.5, kind)
    return ending


class RewardHead(nn.Module):
    """Predicts the reward of a step for every way it can end, from h and the elapsed share of the time limit.

    Every kind has its own mean, standard deviation and range in the data. Predictions stay within that range, so an
    agent can neither extrapolate a reward nor collect the rounding errors of a constant one.

    Args:
        hidden_size: H.
        kinds: Ways a step can end, "goes on" included.
        published: One output for all kinds, which does not read the time (PlaNet, Dreamer).
    """

    mean: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, hidden_size: int, kinds: int, published: bool = False) -> None:
        super().__init__()
        self._published, self._kinds = published, kinds
        self.linear = nn.Linear(hidden_size, 1) if published else nn.Linear(hidden_size + 1, kinds)
        for name in ("mean", "spread", "low", "high"):
            self.register_buffer(name, torch.zeros(kinds))

    def fit_range(self, rewards: Tensor, kinds: Tensor) -> None:
        """Sets mean, standard deviation and range of every kind from (N,) rewards and (N,) kinds of all steps."""
        for kind in range(self._kinds):
            values = rewards if self._published else rewards[kinds == kind]
            if not len(values):
                continue
            self.mean[kind], self.spread[kind] = values.mean(), values.std(correction=0)
            self.low[kind], self.high[kind] = values.min(), values.max()

    def forward(self, h: Tensor, elapsed: Tensor) -> Tensor:
        """Standardised rewards (..., kinds) from h (..., H) and elapsed time (...) in [0, 1]."""
        if self._published:
            return self.linear(h).expand(*h.shape[:-1], self._kinds)
        return self.linear(torch.cat([h, elapsed.unsqueeze(-1)], dim=-1))

    def standardise(self, reward: Tensor, kind: Tensor) -> Tensor:
        """Training targets (...) of rewards (...) with kinds (...); 0 for a kind whose reward never varies."""
        spread = self.spread[kind]
        return torch.where(spread > 0, (reward - self.mean[kind]) / spread.clamp(min=1e-12), 0.0)

    def rewards(self, h: Tensor, elapsed: Tensor) -> Tensor:
        """Rewards in the environment's units, (..., kinds), from h (..., H) and elapsed time (...) in [0, 1]."""
        return self.restore(self(h, elapsed))

    def restore(self, standardised: Tensor) -> Tensor:
        """Rewards in the environment's units, (..., kinds), from standardised ones (..., kinds)."""
        return (self.mean + self.spread * standardised).clamp(self.low, self.high)


def scale_action(action: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Maps (..., A) actions of a bounded box to [-1, 1]."""
    return 2.0 * (action - low) / (high - low) - 1.0


def unscale_action(action: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Maps (..., A) actions in [-1, 1] to a bounded box; the inverse of :func:`scale_action`."""
    return (low + 0.5 * (high - low) * (action + 1.0)).clamp(low, high)


class Rescale(nn.Module):
    """Scales a bounded continuous action to [-1, 1].

    Args:
        action: The action space, a Box.
    """

    low: Tensor
    high: Tensor

    def __init__(self, action: ActionSpec) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(action.low))
        self.register_buffer("high", torch.tensor(action.high))

    def forward(self, action: Tensor) -> Tensor:
        """(..., A) actions in [-1, 1]."""
        return scale_action(action, self.low, self.high)


def weighted_cross_entropy(logits: Tensor, kind: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy (...) of (..., kinds) logits and (...) kinds, times the weight (kinds,) of each step's kind."""
    losses = F.cross_entropy(logits.flatten(0, -2).float(), kind.flatten(), reduction="none")
    return (losses * weights[kind.flatten()]).view(kind.shape)


def mean_per_kind(losses: Tensor, kind: Tensor, kinds: int) -> Tensor:
    """Sum over the kinds of the mean of (N,) losses over the steps of a kind; kinds without steps contribute 0."""
    total = losses.new_zeros(kinds).index_add(0, kind, losses)
    return (total / torch.bincount(kind, minlength=kinds).clamp(min=1)).sum()
