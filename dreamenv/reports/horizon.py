"""How far a dream can be followed: open-loop predictions by horizon, and agents that see every k-th frame only."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dreamenv.bundle import as_world
from dreamenv.envs.pseudo import make_pseudo_dream
from dreamenv.envs.settings import check_one_temperature
from dreamenv.evaluate.scores import Score, score
from dreamenv.foundation.progress import advance_to, progress
from dreamenv.foundation.ranges import check_range, check_seeds
from dreamenv.foundation.seeds import VALIDATION_SEED
from dreamenv.models.base import Outlook, State
from dreamenv.models.noise import Noise
from dreamenv.reports.model_report import EndingReport, report_ending
from dreamenv.rollouts import Policy
from dreamenv.world import Trace, World, seen_by


@dataclass(frozen=True)
class HorizonConfig:
    """What is measured.

    Attributes:
        horizons: Steps dreamed on from a real moment.
        every: The agent sees the real frame at every k-th step, for each of these k.
        temperature: Of the dream; the world's default if None.
        episodes: Real episodes per k.
        seed: First seed of the episodes.
        num_envs: Real environments stepped side by side.
    """

    horizons: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    every: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 1000)
    temperature: float | None = None
    episodes: int = 100
    seed: int = VALIDATION_SEED
    num_envs: int = 8

    def __post_init__(self) -> None:
        """Refuses settings out of range, before anything is played."""
        check_range(self, 1, math.inf, "horizons", "every", "episodes", "num_envs")
        check_seeds(self, "seed")
        if self.temperature is not None:
            check_one_temperature(self.temperature)


@dataclass(frozen=True)
class OpenLoop:
    """Predictions a number of steps after the last real frame, with the actions that were really taken.

    Attributes:
        horizon: Steps since the last real frame.
        steps: How many were predicted.
        z_error: Root mean square distance of the dreamed z from V's posterior mean, per latent dimension.
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


def score_by_sight(world: World | str | Path, agent: Policy, config: HorizonConfig | None = None) -> dict[int, Score]:
    """Real scores of an agent, greedy, that sees every k-th frame and dreams the others, by k.

    Args:
        world: A world, the name of a shipped one, or a folder.
        agent: Whatever answers Stable-Baselines3's ``predict``.
        config: Settings.

    Returns:
        The scores, in the order of ``config.every``.
    """
    config, world = config or HorizonConfig(), seen_by(as_world(world), agent)
    seeds = range(config.seed, config.seed + config.episodes)
    steps = config.episodes * world.config.max_episode_steps
    scores = {}
    with progress(total=len(config.every) * steps, unit="step", desc="horizon") as bar:
        for number, every in enumerate(config.every, start=1):
            env = make_pseudo_dream(world, config.num_envs, every=every, temperature=config.temperature)
            with contextlib.closing(env):
                scores[every] = score(
                    env, agent, seeds, world.config, name=f"every {every}", deterministic=True, on_step=bar.update
                )
            advance_to(bar, number * steps)
    return scores


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
