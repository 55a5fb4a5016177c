"""Open-loop predictions by horizon: how far a dream can be followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dreamenv.evaluate.sight import HorizonConfig
from dreamenv.models.base import Outlook, State
from dreamenv.models.noise import Noise
from dreamenv.reports.model_report import EndingReport, report_ending
from dreamenv.world import Trace, World


@dataclass(frozen=True)
class OpenLoop:
    """Predictions a number of steps after the last real frame, with the actions that were really taken.

    Attributes:
        horizon: Steps since the last real frame.
        steps: How many were predicted.
        z_error: Root mean square distance of the dreamed z from the posterior's mode, per latent dimension.
        reward_error: Mean absolute error of the rewards of steps that end nothing; None where there are none.
        endings: Every kind: calibration, and how well it is told apart.
    """

    horizon: int
    steps: int
    z_error: float
    reward_error: float | None
    endings: tuple[EndingReport, ...]


@torch.inference_mode()
def open_loop(world: World, traces: Sequence[Trace], config: HorizonConfig | None = None) -> tuple[OpenLoop, ...]:
    """Dreams on from every moment of held-out episodes and compares with what came.

    Args:
        world: The world.
        traces: Real episodes that the world followed, with z at its posteriors' modes.
        config: Its horizons, temperature and seed count.

    Returns:
        One result for each horizon that an episode is long enough for.
    """
    config = config or HorizonConfig()
    temperature = world.config.temperature if config.temperature is None else config.temperature
    generator = torch.Generator().manual_seed(config.seed)
    columns = {name: _pad([getattr(one.recording, name) for one in traces]) for name in ("action", "reward", "ending")}
    columns["z"] = _pad([trace.states.z for trace in traces])
    lengths = torch.tensor([len(trace) for trace in traces])
    row, time = (lengths[:, None] > torch.arange(int(lengths.max()))).nonzero(as_tuple=True)
    state = State.cat([trace.states.rows(slice(len(trace))) for trace in traces])
    results = []
    for step in range(1, max(config.horizons) + 1):
        alive = (time + step <= lengths[row]).nonzero().flatten()
        row, time, state = row[alive], time[alive], state.rows(alive)
        if not len(row):
            break
        noise = Noise.draw(len(row), world.model.prior_noise, generator)
        state, transition = world.imagine(state, columns["action"][row, time + step - 1], temperature, noise)
        if step in config.horizons:
            truth = {name: column[row, time + step - int(name != "z")] for name, column in columns.items()}
            results.append(_compare(world, step, state.z, transition.outlook, truth))
    return tuple(results)


def _pad(parts: Sequence[Tensor]) -> Tensor:
    return pad_sequence(list(parts), batch_first=True)


def _compare(world: World, horizon: int, z: Tensor, outlook: Outlook, truth: dict[str, Tensor]) -> OpenLoop:
    probabilities = outlook.endings
    error = (outlook.rewards.gather(1, truth["ending"][:, None]).squeeze(1) - truth["reward"]).abs()
    ordinary = truth["ending"] == 0
    return OpenLoop(
        horizon=horizon,
        steps=len(error),
        z_error=float((z - truth["z"]).square().mean().sqrt()),
        reward_error=float(error[ordinary].mean()) if ordinary.any() else None,
        endings=tuple(
            report_ending(kind, truth["ending"] == index, probabilities[:, index], error)
            for index, kind in enumerate(world.config.endings, start=1)
        ),
    )
