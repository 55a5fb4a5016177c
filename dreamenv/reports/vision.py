"""The latent space of V and its reconstructions, on held-out frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dreamenv.data.episodes import evenly_spaced
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.vision import Vision
from dreamenv.reports.quantities import (
    chance_dependence,
    dependence,
    effective_rank,
    numerical_rank,
    off_diagonal,
    singular_values,
)
from dreamenv.reports.vision_report import ACTIVE_VARIANCE, VisionReadings, VisionReport


@dataclass(frozen=True)
class VisionInspection:
    """V on held-out frames; "means" are the posterior's, over frames.

    Attributes:
        report: Errors of the reconstructions, lost details.
        rank: Numerical rank of the means.
        effective_rank: Their effective rank, see :func:`dreamenv.reports.quantities.effective_rank`.
        singular_values: Of the means, largest first, scaled to the sum 1; (Z,).
        kl: KL of every latent dimension in nats, (Z,).
        variance: Of the mean of every latent dimension, (Z,).
        posterior_variance: Mean variance of the posterior of every latent dimension, (Z,); 1 for the prior's.
        dependence: Normalised HSIC between the means of all pairs of latent dimensions, (Z, Z).
        dependence_active: Mean over the pairs of active dimensions.
        dependence_chance: 95% quantile over independent pairs, see
            :func:`dreamenv.reports.quantities.chance_dependence`.
    """

    report: VisionReport
    rank: int
    effective_rank: float
    singular_values: tuple[float, ...]
    kl: tuple[float, ...]
    variance: tuple[float, ...]
    posterior_variance: tuple[float, ...]
    dependence: tuple[tuple[float, ...], ...]
    dependence_active: float
    dependence_chance: float

    @property
    def active(self) -> NDArray[np.bool_]:
        """Which latent dimensions are active, (Z,)."""
        return np.array(self.variance) > ACTIVE_VARIANCE


@dataclass(frozen=True, eq=False)
class Reconstructions:
    """Frames from the best to the worst reconstructed one.

    Attributes:
        real: (N, H, W, 3) uint8.
        reconstructed: Of the same shape.
        error: Mean squared error per pixel and channel, of a full scale of 1, (N,).
    """

    real: NDArray[np.uint8]
    reconstructed: NDArray[np.uint8]
    error: tuple[float, ...]


@torch.inference_mode()
def inspect_vision(
    vision: Vision, readings: VisionReadings, report: VisionReport, *, samples: int, seed: int
) -> tuple[VisionInspection, Reconstructions]:
    """Measures the latent space of V.

    Args:
        vision: V.
        readings: Frames with what V makes of them.
        report: The errors on the same frames.
        samples: Number of frames that HSIC is estimated from; its cost grows with the square.
        seed: Seed of the permutations that give the chance level of HSIC.

    Returns:
        The numbers, and some frames.
    """
    mean, log_variance = readings.mean, readings.log_variance
    variance = mean.var(0)
    active = (variance > ACTIVE_VARIANCE).numpy()
    means = mean.numpy()
    found = dependence(evenly(means, samples))
    pairs = off_diagonal(found[np.ix_(active, active)])
    numbers = VisionInspection(
        report=report,
        rank=numerical_rank(means),
        effective_rank=effective_rank(means),
        singular_values=tuple(singular_values(means).tolist()),
        kl=tuple(Gaussian(mean, log_variance).kl_from_standard().mean(0).tolist()),
        variance=tuple(variance.tolist()),
        posterior_variance=tuple(log_variance.exp().mean(0).tolist()),
        dependence=tuple(map(tuple, found.tolist())),
        dependence_active=float(pairs.mean()) if pairs.size else 0.0,
        dependence_chance=chance_dependence(evenly(means, samples), seed),
    )
    return numbers, _reconstructions(vision, readings.frames, mean)


def evenly(values: NDArray, count: int) -> NDArray:
    """At most ``count`` of the rows, evenly spaced."""
    return values[evenly_spaced(len(values), count)]


def reconstructions_of(real: NDArray[np.uint8], drawn: NDArray[np.uint8], count: int = 6) -> Reconstructions:
    """Chooses frames, evenly spaced by their error.

    Args:
        real: (N, H, W, 3) uint8.
        drawn: Their reconstructions, of the same shape.
        count: Number of frames chosen, at most.

    Returns:
        The chosen ones.
    """
    squares = [np.square((a.astype(np.float32) - b) / 255.0).mean() for a, b in zip(real, drawn, strict=True)]
    error = np.array(squares)
    order = evenly(np.argsort(error, kind="stable"), count)
    return Reconstructions(real[order], drawn[order], tuple(error[order].tolist()))


def _reconstructions(vision: Vision, frames: torch.Tensor, mean: torch.Tensor) -> Reconstructions:
    shape = (int(frames.shape[1]), int(frames.shape[2]), 3)
    drawn = torch.cat([vision.decode(z, shape) for z in mean.split(256)])
    return reconstructions_of(frames.numpy(), drawn.numpy())
