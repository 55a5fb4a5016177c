"""Diagnostics of latents and of samples, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dreamenv.foundation.errors import SettingsError

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Spread:
    """Mean and quantiles of a quantity.

    Attributes:
        mean: Mean.
        low: 10% quantile.
        middle: Median.
        high: 90% quantile.
    """

    mean: float
    low: float
    middle: float
    high: float


def spread_of(values: Floats) -> Spread:
    """Mean and quantiles of (N,) values, N at least 1."""
    return Spread(float(values.mean()), *map(float, np.quantile(values, (0.1, 0.5, 0.9))))


def root_mean_square(values: Floats) -> float:
    """Root of the mean of all squares."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def root_mean_square_of_pairs(one: Floats, other: Floats) -> float:
    """Root mean square difference, per dimension, of a row of ``one`` from a row of ``other``, over all pairs of rows.

    Args:
        one: (N, Z).
        other: (M, Z).
    """
    between = np.square(one.mean(0, dtype=np.float64) - other.mean(0, dtype=np.float64))
    within = one.var(0, dtype=np.float64) + other.var(0, dtype=np.float64)
    return float(np.sqrt(np.mean(between + within)))


def perplexity_of_average(probabilities: Floats) -> Floats:
    """Exponential of the entropy of the average over samples, for each variable: how many classes are in use.

    Args:
        probabilities: (N, G, K), of K classes of G variables.

    Returns:
        (G,), between 1, where all samples have one class, and K, where all classes are equally frequent.
    """
    import scipy.stats

    return np.exp(scipy.stats.entropy(probabilities.mean(0, dtype=np.float64), axis=-1))


def numerical_rank(samples: Floats) -> int:
    """Rank of (N, Z) samples around their mean: singular values beyond the rounding of their dtype."""
    return int(np.linalg.matrix_rank(samples - samples.mean(0)))


def singular_values(samples: Floats) -> Floats:
    """Singular values of (N, Z) samples around their mean, largest first, scaled to the sum 1; 0 without variation."""
    values = np.linalg.svd(samples - samples.mean(0), compute_uv=False)
    return values / max(values.sum(), np.finfo(values.dtype).tiny)


def effective_rank(samples: Floats) -> float:
    """Exponential of the entropy of the normalised singular values (Roy and Vetterli 2007).

    Args:
        samples: (N, Z); their mean is taken off.

    Returns:
        Between 1, all on a line, and min(N, Z), equally spread in all directions; 0 if nothing varies.
    """
    import scipy.stats

    values = singular_values(samples)
    return float(np.exp(scipy.stats.entropy(values))) if values.any() else 0.0


def dependence(samples: Floats) -> Floats:
    """Normalised HSIC between all pairs of dimensions: statistical dependence of any kind, not of lines only.

    The Hilbert-Schmidt independence criterion (Gretton et al. 2005) with a Gaussian kernel whose bandwidth is the
    median distance between samples, in the unbiased estimate of Song et al. (2012). That is an inner product of kernel
    matrices that are centred as Szekely and Rizzo (2014) do; a cosine of them is therefore the normalised value.

    Args:
        samples: (N, Z) with N of at least 4; independent draws, or the values mean little.

    Returns:
        (Z, Z), symmetric: 1 on the diagonal, at most 1 elsewhere, 0 in expectation (so now and then slightly negative)
        for independent dimensions; 0 for a dimension that never varies.

    Raises:
        SettingsError: If there are fewer than 4 samples.
    """
    count = len(samples)
    if count < 4:
        raise SettingsError(f"expected at least 4 samples for HSIC, got {count}")
    kernels = np.stack([_centre(_gaussian_kernel(column)).ravel() for column in samples.T])
    products = kernels @ kernels.T
    norms = np.sqrt(products.diagonal())
    scale = np.outer(norms, norms)
    return np.divide(products, scale, out=np.zeros_like(products), where=scale > 0.0)


def chance_dependence(samples: Floats, seed: int, quantile: float = 0.95) -> float:
    """The value that :func:`dependence` gives for independent dimensions: these, each shuffled on its own.

    Args:
        samples: (N, Z); every dimension is permuted on its own.
        seed: Of the permutations.
        quantile: Share of the pairs that stay below.

    Returns:
        That quantile over all pairs; 0 for a single dimension.
    """
    shuffled = np.random.default_rng(seed).permuted(samples, axis=0)
    pairs = off_diagonal(dependence(shuffled))
    return float(np.quantile(pairs, quantile)) if pairs.size else 0.0


def off_diagonal(matrix: Floats) -> Floats:
    """The values above the diagonal of a (Z, Z) matrix, (Z (Z - 1) / 2,)."""
    return matrix[np.triu_indices(len(matrix), 1)]


def effective_sample_size(weights: ArrayLike, counts: ArrayLike = 1.0) -> float:
    """How many equally weighted samples are worth as much: (sum w)^2 / sum w^2 (Kish 1965).

    Args:
        weights: (N,), non-negative.
        counts: How often each of them occurs, (N,) or one number for all.

    Returns:
        Between 1 and N, for counts of 1.

    Raises:
        SettingsError: If a weight or a count is negative, or all are 0.
    """
    weights, counts = np.broadcast_arrays(np.asarray(weights, float), np.asarray(counts, float))
    if not (weights.size and min(weights.min(), counts.min()) >= 0.0 and (weights * counts).any()):
        raise SettingsError(f"expected non-negative weights and counts, some of them positive; got {weights}, {counts}")
    return float((counts * weights).sum() ** 2 / (counts * weights**2).sum())


def autocorrelation(series: Sequence[Floats]) -> Floats:
    """Autocorrelation of several stretches of one process, around their common mean.

    Args:
        series: Stretches (T,) of any lengths.

    Returns:
        By lag, from 0 to the longest stretch's length - 1; 1 at lag 0, and 0 beyond for a process that never varies.
    """
    import scipy.signal

    mean = np.concatenate(series).mean()
    products, pairs = np.zeros(max(map(len, series))), np.zeros(max(map(len, series)))
    for stretch in series:
        centred = np.asarray(stretch, float) - mean
        length = len(centred)
        products[:length] += scipy.signal.correlate(centred, centred)[length - 1 :]
        pairs[:length] += np.arange(length, 0, -1)
    covariance = products / pairs
    return covariance / covariance[0] if covariance[0] > 0.0 else (np.arange(len(covariance)) == 0).astype(float)


def autocorrelation_time(correlation: Floats) -> float:
    """How many consecutive samples are worth one independent sample: 1 + 2 sum of the autocorrelations.

    Neighbouring lags are added up in pairs, which fall and stay positive for a reversible Markov chain. So the sum ends
    with the first negative pair, and a pair counts no more than the one before: the rest is noise (Geyer 1992, initial
    monotone sequence).

    Args:
        correlation: (L,), from lag 0.

    Returns:
        At least 1: samples that repel each other are not counted twice.
    """
    pairs = correlation[: len(correlation) // 2 * 2].reshape(-1, 2).sum(1)
    negative = np.flatnonzero(pairs < 0.0)
    kept = np.minimum.accumulate(pairs[: negative[0]] if len(negative) else pairs)
    return max(1.0, float(2.0 * kept.sum() - 1.0))


def _gaussian_kernel(column: Floats) -> Floats:
    """(N, N) values of exp(-d^2 / (2 m^2)), m being the median of the distances d that are not 0; 0 without any."""
    from scipy.spatial.distance import pdist, squareform

    distance = pdist(column[:, None])
    positive = distance[distance > 0.0]
    if not positive.size:
        return np.zeros((len(column), len(column)))
    return squareform(np.exp(-0.5 * (distance / np.median(positive)) ** 2))


def _centre(kernel: Floats) -> Floats:
    """U-centres an (N, N) matrix with a diagonal of 0: rows and columns then sum up to 0 without the diagonal."""
    count = len(kernel)
    rows = kernel.sum(1) / (count - 2)
    centred = kernel - rows[:, None] - rows[None] + kernel.sum() / ((count - 1) * (count - 2))
    np.fill_diagonal(centred, 0.0)
    return centred
