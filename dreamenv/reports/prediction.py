"""The predictions of any kind of world model on held-out episodes, step by step and by horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.models.noise import Noise
from dreamenv.reports.horizon import OpenLoop
from dreamenv.reports.model_report import MemoryReport, one_step_loss
from dreamenv.reports.one_step import OneStepReport
from dreamenv.reports.quantities import root_mean_square, root_mean_square_of_pairs
from dreamenv.world import Trace


@dataclass(frozen=True)
class Readings:
    """The predictions of a world model at every step of some episodes, one after the other; z is the posterior's mode.

    Attributes:
        probabilities: Of the kinds of ending, (N, kinds + 1); column 0 is "goes on".
        ending: Index of the kind of ending, (N,) int64.
        nll: Negative log-likelihood of the next z at every step, nats per latent dimension; an array (T,) per episode.
    """

    probabilities: Tensor
    ending: Tensor
    nll: tuple[NDArray, ...]


@dataclass(frozen=True)
class PredictionInspection:
    """Predictions on held-out steps.

    Attributes:
        report: Likelihood, rewards and endings, step by step.
        one_step: Errors in pixels after one step.
        error_of_noise: Error of a perfect dream: root mean square distance, per dimension, of a z drawn from the
            posterior from the posterior's mode.
        error_of_strangers: Error of an unrelated dream: the same distance from the mode of another frame.
        open_loop: Errors of predictions by horizon.
    """

    report: MemoryReport
    one_step: OneStepReport
    error_of_noise: float
    error_of_strangers: float
    open_loop: tuple[OpenLoop, ...]


@torch.inference_mode()
def read_predictions(traces: Sequence[Trace]) -> Readings:
    """Reads the predictions at every step of real episodes."""
    return Readings(
        probabilities=torch.cat([trace.outlook.endings for trace in traces]),
        ending=torch.cat([trace.recording.ending for trace in traces]),
        nll=tuple(one_step_loss(trace).numpy() for trace in traces),
    )


@torch.inference_mode()
def inspect_prediction(
    traces: Sequence[Trace], report: MemoryReport, one_step: OneStepReport, open_loop: tuple[OpenLoop, ...], seed: int
) -> PredictionInspection:
    """Joins the measurements, and adds the distances in z that open-loop errors are compared with.

    Args:
        traces: Held-out episodes that the world followed, with z at its posteriors' modes.
        report: Errors on the same, see :func:`dreamenv.reports.model_report.report_memory`.
        one_step: Likewise, see :func:`dreamenv.reports.one_step.report_one_step`.
        open_loop: Errors by horizon, see :func:`dreamenv.reports.horizon.open_loop`.
        seed: Of the draws of z.

    Returns:
        The numbers.
    """
    generator, spec = torch.Generator().manual_seed(seed), traces[0].model.posterior_noise
    drawn = torch.cat([one.posteriors.draw(Noise.draw(len(one) + 1, spec, generator)) for one in traces]).numpy()
    mode = torch.cat([trace.states.z for trace in traces]).numpy()
    noise, strangers = root_mean_square(drawn - mode), root_mean_square_of_pairs(drawn, mode)
    return PredictionInspection(report, one_step, noise, strangers, open_loop)
