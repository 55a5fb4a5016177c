"""Posteriors and priors of an RSSM on held-out episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.models.latent import Categorical, Gaussian, Latent
from dreamenv.models.rssm.model import RSSM
from dreamenv.reports.quantities import Spread, perplexity_of_average, spread_of
from dreamenv.reports.vision_report import ACTIVE_VARIANCE
from dreamenv.world import Trace

Distribution = Gaussian | Categorical
ACTIVE_KL = 0.01  # nats


@dataclass(frozen=True)
class RSSMReadings:
    """Posteriors and priors at the frames of some episodes; G variables, Z of a Gaussian z.

    Attributes:
        posterior: At all T + 1 frames of all episodes, of batch shape (N,).
        kl: Divergence of posterior from prior, (N, G), in nats. The prior of a first frame is that of h = 0.
        entropy: Of the posterior, (N, G), in nats.
        prior_entropy: Of the prior, likewise.
        step: Of each frame in its episode, (N,); 0 for first frames.
    """

    posterior: Distribution
    kl: NDArray[np.floating]
    entropy: NDArray[np.floating]
    prior_entropy: NDArray[np.floating]
    step: NDArray[np.int64]


@dataclass(frozen=True)
class ByStep:
    """Means over episodes at each step, from 0 (the first frame).

    Attributes:
        kl: Divergence of posterior from prior, summed over z, in nats.
        entropy: Of the posterior, per variable, in nats.
        prior_entropy: Of the prior, likewise.
    """

    kl: tuple[Spread, ...]
    entropy: tuple[float, ...]
    prior_entropy: tuple[float, ...]


@dataclass(frozen=True)
class RSSMInspection:
    """Posterior and prior of an RSSM on held-out frames, in nats; the frames are those after steps.

    Attributes:
        classes: K, classes of each categorical variable; None for a Gaussian z.
        drawn: Whether z is drawn; entropies of a deterministic z say nothing.
        kl: Divergence of posterior from prior, summed over z.
        kl_of_first: The same at the first frames of episodes, where the prior has no past to read.
        entropy: Of the posterior, per variable.
        entropy_of_first: The same at first frames.
        prior_entropy: Of the prior, per variable.
        kl_of_variable: Mean divergence of every variable, (G,).
        variance: Of the posterior's mean over all frames, (Z,); None for a categorical z.
        perplexity: Of the posterior averaged over all frames, by variable, (G,), between 1 and K: classes in use; None
            for a Gaussian z.
        by_step: Means over episodes, by step.
    """

    classes: int | None
    drawn: bool
    kl: Spread
    kl_of_first: Spread
    entropy: Spread
    entropy_of_first: Spread
    prior_entropy: Spread
    kl_of_variable: tuple[float, ...]
    variance: tuple[float, ...] | None
    perplexity: tuple[float, ...] | None
    by_step: ByStep

    @property
    def surprising(self) -> NDArray[np.bool_]:
        """Which variables have a mean divergence above :data:`ACTIVE_KL`, (G,)."""
        return np.array(self.kl_of_variable) > ACTIVE_KL

    @property
    def active(self) -> NDArray[np.bool_] | None:
        """Which dimensions of a Gaussian z have a posterior mean that varies over frames, (Z,)."""
        return None if self.variance is None else np.array(self.variance) > ACTIVE_VARIANCE


@torch.inference_mode()
def read_rssm(model: RSSM, traces: Sequence[Trace]) -> RSSMReadings:
    """Reads posteriors and priors at every frame of episodes that the model followed."""
    posterior = _joined([trace.posteriors for trace in traces])
    prior = _joined([model.prior(trace.states) for trace in traces])
    return RSSMReadings(
        posterior=posterior,
        kl=_divergences(model, posterior, prior).numpy(),
        entropy=posterior.entropy().numpy(),
        prior_entropy=prior.entropy().numpy(),
        step=np.concatenate([trace.states.step.numpy() for trace in traces]),
    )


def _joined(latents: Sequence[Latent]) -> Distribution:
    joined = type(latents[0]).cat(latents)
    assert isinstance(joined, Gaussian | Categorical)
    return joined


def _divergences(model: RSSM, posterior: Any, prior: Any) -> Tensor:
    """KL by variable, (N, G); of unit Gaussians where z is deterministic, as in :meth:`RSSM.divergence`."""
    if model.config.transition == "deterministic":
        posterior, prior = (Gaussian(one.mean, torch.zeros_like(one.mean)) for one in (posterior, prior))
    return posterior.kl(prior)


def inspect_rssm(model: RSSM, traces: Sequence[Trace]) -> RSSMInspection:
    """Measures posterior and prior of an RSSM on held-out episodes that it followed.

    Returns:
        The numbers.
    """
    readings = read_rssm(model, traces)
    posterior, first = readings.posterior, readings.step == 0
    total = readings.kl.sum(1)
    entropy, prior_entropy = readings.entropy.mean(1), readings.prior_entropy.mean(1)
    gaussian = isinstance(posterior, Gaussian)
    return RSSMInspection(
        classes=None if gaussian else model.config.classes,
        drawn=model.config.transition != "deterministic",
        kl=spread_of(total[~first]),
        kl_of_first=spread_of(total[first]),
        entropy=spread_of(entropy[~first]),
        entropy_of_first=spread_of(entropy[first]),
        prior_entropy=spread_of(prior_entropy[~first]),
        kl_of_variable=tuple(readings.kl[~first].mean(0).tolist()),
        variance=tuple(posterior.mean.var(0).tolist()) if isinstance(posterior, Gaussian) else None,
        perplexity=_classes_in_use(posterior) if isinstance(posterior, Categorical) else None,
        by_step=_by_step(readings),
    )


def _classes_in_use(posterior: Categorical) -> tuple[float, ...]:
    return tuple(perplexity_of_average(posterior.log_probabilities().exp().numpy()).tolist())


def _by_step(readings: RSSMReadings) -> ByStep:
    at = [readings.step == step for step in range(int(readings.step.max()) + 1)]
    return ByStep(
        kl=tuple(spread_of(readings.kl[rows].sum(1)) for rows in at),
        entropy=tuple(float(readings.entropy[rows].mean()) for rows in at),
        prior_entropy=tuple(float(readings.prior_entropy[rows].mean()) for rows in at),
    )
