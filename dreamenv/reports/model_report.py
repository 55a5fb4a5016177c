"""How well a world model predicts held-out episodes, one real step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamenv.config import WorldConfig
from dreamenv.models.base import Outlook
from dreamenv.world import Trace

SUMMED_STEPS = 10  # over which rewards are summed: errors of single steps say little of a return


@dataclass(frozen=True)
class EndingReport:
    """One kind of ending on held-out steps.

    Attributes:
        kind: The kind.
        count: How many there were.
        predicted: How many the calibrated probabilities sum up to.
        precision: Share of the steps with a probability above one half that were such endings; None without any.
        recall: Share of such endings with a probability above one half, at the exact step; None without any.
        auc: Area under the ROC curve against all other steps; None without any.
        reward_error: Mean absolute error of the reward predicted for them; None without any.
    """

    kind: str
    count: int
    predicted: float
    precision: float | None
    recall: float | None
    auc: float | None
    reward_error: float | None


@dataclass(frozen=True)
class MemoryReport:
    """A world model on held-out episodes.

    Attributes:
        steps: How many.
        nll: Negative log-likelihood of the next z, nats per latent dimension.
        reward_error: Mean absolute error of the rewards of steps that end nothing; None where there are none.
        endings: Every kind.
        reward_r2: Share of the variance of these rewards that the model explains, R2: 1 for a perfect prediction, 0 for
            their mean, negative for a worse one; None where the rewards do not vary.
        reward_sum_r2: The same of sums over :data:`SUMMED_STEPS` steps in a row that end nothing.
    """

    steps: int
    nll: float
    reward_error: float | None
    endings: tuple[EndingReport, ...]
    reward_r2: float | None = None
    reward_sum_r2: float | None = None


@torch.inference_mode()
def report_memory(traces: Sequence[Trace], config: WorldConfig) -> MemoryReport:
    """Measures a world model on recorded episodes that it followed, with z at its posteriors' modes."""
    ending, reward = (torch.cat([getattr(one.recording, name) for one in traces]) for name in ("ending", "reward"))
    outlook = Outlook.cat([trace.outlook for trace in traces])
    probabilities, predicted = outlook.endings, outlook.rewards
    expected = predicted.gather(1, ending[:, None]).squeeze(1)
    error = (expected - reward).abs()
    lengths = [len(trace) for trace in traces]
    pairs = torch.stack([expected, reward], dim=1)
    ordinary = [part[end == 0] for part, end in zip(pairs.split(lengths), ending.split(lengths), strict=True)]
    return MemoryReport(
        steps=len(ending),
        nll=torch.cat([one_step_loss(trace) for trace in traces]).mean().item(),
        reward_error=float(error[ending == 0].mean()) if (ending == 0).any() else None,
        endings=tuple(
            report_ending(kind, ending == index, probabilities[:, index], error)
            for index, kind in enumerate(config.endings, start=1)
        ),
        reward_r2=explained_variance(torch.cat(ordinary)),
        reward_sum_r2=explained_variance(torch.cat([sums_of(part, SUMMED_STEPS) for part in ordinary])),
    )


def explained_variance(pairs: Tensor) -> float | None:
    """R2 of (N, 2) predictions and truths against the mean of the truths; None where the truths do not vary."""
    predicted, truth = pairs.double().T
    if not len(truth) or float(truth.max() - truth.min()) <= 1e-6:
        return None
    return 1.0 - float((predicted - truth).square().sum() / (truth - truth.mean()).square().sum())


def sums_of(rows: Tensor, steps: int) -> Tensor:
    """Sums of (N, C) rows over every ``steps`` of them in a row, (N - steps + 1, C); none if there are fewer."""
    if len(rows) < steps:
        return rows[:0]
    return rows.double().unfold(0, steps, 1).sum(-1).to(rows.dtype)


def one_step_loss(trace: Trace) -> Tensor:
    """Negative log-likelihood of the z that each step led to, nats per latent dimension, (T,)."""
    z = trace.after.z
    return -trace.priors.log_probability(z) / z.shape[-1]


def report_ending(kind: str, truth: Tensor, probability: Tensor, error: Tensor) -> EndingReport:
    """Measures (N,) probabilities of one kind of ending against (N,) bool truths; ``error`` is of the rewards."""
    called = probability > 0.5
    hits = int((called & truth).sum())
    positives = int(truth.sum())
    return EndingReport(
        kind=kind,
        count=positives,
        predicted=float(probability.sum()),
        precision=hits / int(called.sum()) if called.any() else None,
        recall=hits / positives if positives else None,
        auc=area_under_curve(probability[truth], probability[~truth]) if 0 < positives < len(truth) else None,
        reward_error=float(error[truth].mean()) if positives else None,
    )


def area_under_curve(positive: Tensor, negative: Tensor) -> float:
    """Area under the ROC curve: the Mann-Whitney U of the scores over its largest value."""
    import scipy.stats

    u = scipy.stats.mannwhitneyu(positive.numpy(), negative.numpy()).statistic
    return float(u) / (len(positive) * len(negative))
