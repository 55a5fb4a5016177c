"""What a dreamed step costs in pixels: frames decoded from the prior beside those decoded from the posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.data.episodes import Episode, evenly_spaced
from dreamenv.models.base import State, WorldModel
from dreamenv.models.latent import Latent
from dreamenv.models.noise import Noise, NoiseSpec
from dreamenv.world import Trace

FRAMES = 256  # decoded at once


@dataclass(frozen=True)
class OneStepReport:
    """Frames decoded after one step, of any kind of world model; errors are mean squares, of a full scale of 1.

    Attributes:
        frames: Frames that were compared, each at the end of a recorded step.
        posterior_error: Per pixel and channel, with z drawn from the posterior, which depends on the frame itself.
        prior_error: Likewise, with z drawn from the prior at temperature 1: one step of a dream.
        mean_frame_error: Of the mean of these frames, the same picture for all: a world model that ignores frames has
            both errors here, and a ratio of 1.
        ratio: ``prior_error`` over ``posterior_error``; None if the latter is 0.
    """

    frames: int
    posterior_error: float
    prior_error: float
    mean_frame_error: float
    ratio: float | None


@torch.inference_mode()
def report_one_step(traces: Sequence[Trace], episodes: Sequence[Episode], count: int, seed: int = 0) -> OneStepReport:
    """Decodes posteriors and priors at evenly spaced steps, and compares the frames with the real ones.

    Args:
        traces: Recorded episodes that a world followed.
        episodes: The same episodes.
        count: Number of steps, at most.
        seed: Of the draws of z. Both draws have the same seed, so that equal distributions have equal errors.

    Returns:
        The errors.
    """
    model, chosen = traces[0].model, evenly_spaced(sum(map(len, traces)), count)
    index = torch.from_numpy(chosen)
    state = State.cat([trace.after for trace in traces]).rows(index)
    posterior = _joined([trace.posteriors.rows(slice(1, None)) for trace in traces]).rows(index)
    prior = _joined([trace.priors for trace in traces]).rows(index)
    real = _frames_after(episodes, chosen)
    by_posterior, by_prior = (
        _squared_error(model, replace(state, z=_drawn(latent, spec, len(chosen), seed)), real)
        for latent, spec in ((posterior, model.posterior_noise), (prior, model.prior_noise))
    )
    blind = float((real.numpy() / np.float32(255.0)).var(0).mean())
    ratio = by_prior / by_posterior if by_posterior else None
    return OneStepReport(len(chosen), by_posterior, by_prior, blind, ratio)


def _joined(latents: Sequence[Latent]) -> Latent:
    return type(latents[0]).cat(latents)


def _drawn(latent: Latent, spec: NoiseSpec, count: int, seed: int) -> Tensor:
    return latent.draw(Noise.draw(count, spec, torch.Generator().manual_seed(seed)))


def _frames_after(episodes: Sequence[Episode], steps: NDArray[np.int64]) -> Tensor:
    """The frames that followed some of the steps of all episodes, (N, H, W, 3) uint8."""
    ends = np.cumsum([len(episode) for episode in episodes])
    owners = np.searchsorted(ends, steps, side="right")
    places = [step - ends[e] + len(episodes[e]) + 1 for e, step in zip(owners, steps, strict=True)]
    return torch.from_numpy(np.stack([episodes[e].observations[i] for e, i in zip(owners, places, strict=True)]))


def _squared_error(model: WorldModel, state: State, real: Tensor) -> float:
    """Mean squared error of decoded (N,) states beside (N, H, W, 3) frames."""
    height, width = int(real.shape[1]), int(real.shape[2])
    total = 0.0
    for first in range(0, len(real), FRAMES):
        rows = slice(first, first + FRAMES)
        decoded = model.decode(state.rows(rows), (height, width, 3))
        total += float(((decoded.float() - real[rows].float()) / 255.0).square().double().sum())
    return total / real.numel()
