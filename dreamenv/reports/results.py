"""Everything that is measured of a world, as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from dreamenv.bundle import world_id
from dreamenv.config import WorldConfig
from dreamenv.data.episodes import Episode, evenly_spaced, evenly_spaced_frames
from dreamenv.data.store import EpisodeStore
from dreamenv.evaluate.sight import HorizonConfig
from dreamenv.foundation.progress import progress
from dreamenv.foundation.ranges import Count, Range, Seed, Settings
from dreamenv.models.base import WorldModel
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.models.registry import kind_of_config
from dreamenv.models.rssm.model import RSSM
from dreamenv.recordings import ending_index
from dreamenv.reports.heads import HeadInspection, inspect_heads
from dreamenv.reports.held_out import Measurement, measure_held_out
from dreamenv.reports.horizon import open_loop
from dreamenv.reports.logs import AgentLog, Curve, read_agents, read_settings, read_trainings
from dreamenv.reports.memory import MemoryInspection, inspect_memory
from dreamenv.reports.prediction import PredictionInspection, Readings, inspect_prediction, read_predictions
from dreamenv.reports.rssm import RSSMInspection, inspect_rssm
from dreamenv.reports.samples import SampleSizes, sample_sizes
from dreamenv.reports.strips import FilmStrip, film_strip, representative_episodes
from dreamenv.reports.vision import Reconstructions, VisionInspection, inspect_vision, reconstructions_of
from dreamenv.world import Trace, World


@dataclass(frozen=True)
class InspectConfig(Settings):
    """Settings of an inspection.

    Attributes:
        held_out: Held-out episodes, at most; evenly spaced.
        open_loop_episodes: Those of them that the dream goes on from at every step.
        frames: Frames that are decoded and that V is measured on, at most; evenly spaced.
        hsic_frames: Those of them that HSIC is estimated from; its cost grows with the square.
        horizons: Steps dreamed, in film strips and open-loop predictions.
        seed: Of the dreams' noise, and of the permutations that HSIC is compared with.
    """

    held_out: Count = 200
    open_loop_episodes: Count = 20
    frames: Annotated[int, Range(4, integer=True)] = 2000
    hsic_frames: Annotated[int, Range(4, integer=True)] = 400
    horizons: tuple[Count, ...] = (1, 5, 15, 50)
    seed: Seed = 0


@dataclass(frozen=True)
class Inspection:
    """A world's diagnostics.

    Attributes:
        env_id: Gymnasium id of the real environment.
        world: Identity of the world, see :func:`dreamenv.bundle.world_id`.
        kind: Name of the kind of its world model.
        config: Settings of the inspection.
        episodes: Held-out episodes looked at.
        prediction: What the world model predicts, step by step and by horizon.
        heads: The ending head, by kind of ending.
        vision: V; None for other kinds of world models, as ``memory`` and ``samples``.
        memory: The mixtures of M.
        samples: Effective sample sizes of the training batches of V and M.
        rssm: Posterior and prior of an RSSM; None for other kinds.
        training: Scalars over each stage of the training, by its name; none if it left no logs.
        agents: How agents were trained in it; none if there are no agents.
    """

    env_id: str
    world: str
    kind: str
    config: InspectConfig
    episodes: int
    prediction: PredictionInspection
    heads: tuple[HeadInspection, ...]
    vision: VisionInspection | None
    memory: MemoryInspection | None
    samples: SampleSizes | None
    rssm: RSSMInspection | None
    training: Mapping[str, tuple[Curve, ...]]
    agents: tuple[AgentLog, ...]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Frames for the page."""

    reconstructions: Reconstructions
    strips: tuple[FilmStrip, ...]


def measure(world: World, store: EpisodeStore, config: InspectConfig, logs: Path) -> tuple[Inspection, Pictures]:
    """Measures a world on held-out episodes and reads how it was trained.

    Args:
        world: The world, on the processor.
        store: Real episodes.
        config: Settings.
        logs: Folder with ``training`` and ``agents``; either may be missing.

    Returns:
        Numbers and pictures.

    Raises:
        StoreError: If there are too few episodes.
        BundleError: If a record of a training cannot be read.
    """
    model = world.model
    training, held_out = store.split()
    episodes = [held_out[index] for index in evenly_spaced(len(held_out), config.held_out)]
    with progress(total=4, unit="stage", desc="inspect") as bar:
        measured = measure_held_out(world, training, episodes, config.frames)
        traces = measured.traces
        bar.update()
        readings, prediction = read_predictions(traces), _inspect_prediction(world, measured, config)
        bar.update()
        shown = representative_episodes(traces, config.horizons, 1 + len(world.config.endings))
        vision, reconstructions = _look(model, measured, config)
        along = traces[shown[-1] if shown else 0]
        memory = None if vision is None else inspect_memory(traces, along, int(np.argmax(vision.kl)))
        rssm = inspect_rssm(model, traces) if isinstance(model, RSSM) else None
        bar.update()
        strips = _film_strips(world, [(episodes[i], traces[i]) for i in shown], config)
        bar.update()
    inspection = Inspection(
        env_id=world.config.env_id,
        world=world_id(world),
        kind=kind_of_config(world.config.model).name,
        config=config,
        episodes=len(episodes),
        prediction=prediction,
        heads=inspect_heads(readings, prediction.report.endings, world.config.ending_rules),
        vision=vision,
        memory=memory,
        samples=None if vision is None else _sample_sizes(training, world.config, readings, logs / "training"),
        rssm=rssm,
        training=read_trainings(logs / "training"),
        agents=read_agents(logs / "agents", world_id(world)),
    )
    return inspection, Pictures(reconstructions, strips)


def kinds_of(episodes: Sequence[Episode], config: WorldConfig) -> NDArray[np.int64]:
    """Index of the kind of ending of every episode, as models number them; 0 for those that ran out of time."""
    return np.array([ending_index(episode, config.endings, config.ordinary_reward) for episode in episodes])


def _look(
    model: WorldModel, measured: Measurement, config: InspectConfig
) -> tuple[VisionInspection | None, Reconstructions]:
    """The latent space of V, for a model that has one, and reconstructions of frames."""
    if isinstance(model, MDNRNN):
        assert measured.vision is not None and measured.report.vision is not None
        return inspect_vision(
            model.vision, measured.vision, measured.report.vision, samples=config.hsic_frames, seed=config.seed
        )
    real = evenly_spaced_frames(measured.episodes, config.frames)
    places = evenly_spaced(sum(len(episode) + 1 for episode in measured.episodes), config.frames)
    return None, reconstructions_of(real, measured.decoded(places))


def _inspect_prediction(world: World, measured: Measurement, config: InspectConfig) -> PredictionInspection:
    traces, report = measured.traces, measured.report
    branching = [traces[index] for index in evenly_spaced(len(traces), config.open_loop_episodes)]
    ordinary = max(len(trace) - int(bool(trace.recording.ending[-1])) for trace in branching)
    horizons = tuple(horizon for horizon in config.horizons if horizon <= ordinary)  # beyond, there are endings only
    following = HorizonConfig(horizons=horizons, temperature=1.0, seed=config.seed) if horizons else None
    loops = () if following is None else open_loop(world, branching, following)
    return inspect_prediction(traces, report.memory, report.one_step, loops, config.seed)


def _sample_sizes(episodes: Sequence[Episode], config: WorldConfig, readings: Readings, training: Path) -> SampleSizes:
    settings = (read_settings(training / "vision"), read_settings(training / "memory"))
    return sample_sizes(episodes, kinds_of(episodes, config), readings.nll, *settings)


def _film_strips(world: World, pairs: Sequence[tuple[Episode, Trace]], config: InspectConfig) -> tuple[FilmStrip, ...]:
    names = ("continues", *world.config.endings)
    return tuple(
        film_strip(world, episode, names[int(trace.recording.ending[-1])], config.horizons, config.seed)
        for episode, trace in pairs
    )
