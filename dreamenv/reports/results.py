"""Everything that is measured of a world, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from dreamenv.bundle import world_id
from dreamenv.config import WorldConfig
from dreamenv.data.episodes import Episode, evenly_spaced
from dreamenv.data.store import EpisodeStore
from dreamenv.evaluate.sight import HorizonConfig
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.progress import progress
from dreamenv.foundation.ranges import Count, Range, Seed, Settings
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.recordings import ending_index
from dreamenv.reports.heads import HeadInspection, inspect_heads
from dreamenv.reports.held_out import Measurement, measure_held_out
from dreamenv.reports.horizon import open_loop
from dreamenv.reports.logs import AgentLog, Curve, read_agents, read_curves, read_settings
from dreamenv.reports.memory import MemoryInspection, Readings, inspect_memory, read_memory
from dreamenv.reports.samples import SampleSizes, sample_sizes
from dreamenv.reports.strips import FilmStrip, film_strip, representative_episodes
from dreamenv.reports.vision import Reconstructions, VisionInspection, inspect_vision
from dreamenv.world import Trace, World


@dataclass(frozen=True)
class InspectConfig(Settings):
    """Settings of an inspection.

    Attributes:
        held_out: Held-out episodes, at most; evenly spaced.
        open_loop_episodes: Those of them that the dream goes on from at every step.
        frames: Frames that V is measured on, at most; evenly spaced.
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
        config: Settings of the inspection.
        episodes: Held-out episodes looked at.
        vision: V.
        memory: M.
        heads: The ending head, by kind of ending.
        samples: Effective sample sizes of the training batches.
        vision_training: Scalars over V's training; none if it left no logs.
        memory_training: Scalars over M's training; likewise.
        agents: How agents were trained in it; none if there are no agents.
    """

    env_id: str
    world: str
    config: InspectConfig
    episodes: int
    vision: VisionInspection
    memory: MemoryInspection
    heads: tuple[HeadInspection, ...]
    samples: SampleSizes
    vision_training: tuple[Curve, ...]
    memory_training: tuple[Curve, ...]
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
        SettingsError: If the world's model has no V and M.
    """
    model = world.model
    if not isinstance(model, MDNRNN):
        raise SettingsError(f"expected a world of V and M, whose chapters the page has, got a {type(model).__name__}")
    training, held_out = store.split()
    episodes = [held_out[index] for index in evenly_spaced(len(held_out), config.held_out)]
    with progress(total=4, unit="stage", desc="inspect") as bar:
        measured = measure_held_out(world, training, episodes, config.frames)
        traces, report = measured.traces, measured.report
        assert measured.vision is not None and report.vision is not None
        bar.update()
        vision, reconstructions = inspect_vision(
            model.vision, measured.vision, report.vision, samples=config.hsic_frames, seed=config.seed
        )
        bar.update()
        readings = read_memory(traces)
        shown = representative_episodes(traces, config.horizons, 1 + len(world.config.endings))
        memory = _inspect_memory(world, measured, readings, shown, int(np.argmax(vision.kl)), config)
        bar.update()
        strips = _film_strips(world, [(episodes[i], traces[i]) for i in shown], config)
        bar.update()
    see, remember = logs / "training" / "vision", logs / "training" / "memory"
    kinds, settings = kinds_of(training, world.config), (read_settings(see), read_settings(remember))
    inspection = Inspection(
        env_id=world.config.env_id,
        world=world_id(world),
        config=config,
        episodes=len(episodes),
        vision=vision,
        memory=memory,
        heads=inspect_heads(readings, memory.report.endings, world.config.ending_rules),
        samples=sample_sizes(training, kinds, readings.nll, *settings),
        vision_training=tuple(read_curves(see).values()),
        memory_training=tuple(read_curves(remember).values()),
        agents=read_agents(logs / "agents", world_id(world)),
    )
    return inspection, Pictures(reconstructions, strips)


def kinds_of(episodes: Sequence[Episode], config: WorldConfig) -> NDArray[np.int64]:
    """Index of the kind of ending of every episode, as M numbers them; 0 for those that ran out of time."""
    return np.array([ending_index(episode, config.endings, config.ordinary_reward) for episode in episodes])


def _inspect_memory(
    world: World,
    measured: Measurement,
    readings: Readings,
    shown: Sequence[int],
    dimension: int,
    config: InspectConfig,
) -> MemoryInspection:
    traces = measured.traces
    branching = [traces[index] for index in evenly_spaced(len(traces), config.open_loop_episodes)]
    ordinary = max(len(trace) - int(bool(trace.recording.ending[-1])) for trace in branching)
    horizons = tuple(horizon for horizon in config.horizons if horizon <= ordinary)  # beyond, there are endings only
    following = HorizonConfig(horizons=horizons, temperature=1.0, seed=config.seed)
    return inspect_memory(
        readings,
        measured.report.memory,
        shown=traces[shown[-1] if shown else 0],
        dimension=dimension,
        open_loop=open_loop(world, branching, following) if horizons else (),
    )


def _film_strips(world: World, pairs: Sequence[tuple[Episode, Trace]], config: InspectConfig) -> tuple[FilmStrip, ...]:
    names = ("continues", *world.config.endings)
    return tuple(
        film_strip(world, episode, names[int(trace.recording.ending[-1])], config.horizons, config.seed)
        for episode, trace in pairs
    )
