"""A world measured on held-out episodes: one value that a training's report and the inspection read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dreamenv.data.endings import ending_kinds
from dreamenv.data.episodes import Episode
from dreamenv.models.base import State
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.recordings import record
from dreamenv.reports.model_report import MemoryReport, report_memory
from dreamenv.reports.one_step import OneStepReport, report_one_step
from dreamenv.reports.vision_report import MAX_FRAMES, VisionReadings, VisionReport, read_vision, report_readings
from dreamenv.world import Trace, World

BATCH = 256  # frames decoded at once


@dataclass(frozen=True)
class WorldReport:
    """A world model on held-out episodes.

    Attributes:
        vision: V; None if the world model has none of its own.
        memory: What the world model expects of steps.
        learned: How many of the other episodes ended in each kind of ending.
        one_step: Errors in pixels after one step; they compare kinds of world models.
    """

    vision: VisionReport | None
    memory: MemoryReport
    learned: dict[str, int]
    one_step: OneStepReport


@dataclass(frozen=True, eq=False)
class Measurement:
    """A world on held-out episodes.

    Attributes:
        episodes: The held-out episodes.
        traces: The same episodes followed by the world, with z at its posteriors' modes; all their frames, one after
            the other, are those of the episodes.
        vision: Frames with what V makes of them; None if the world model has no V of its own.
        report: The errors.
    """

    episodes: Sequence[Episode]
    traces: Sequence[Trace]
    vision: VisionReadings | None
    report: WorldReport

    @torch.inference_mode()
    def decoded(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decodes states, (N, H, W, 3); places are counted over the frames of all episodes, one after the other."""
        state = State.cat([trace.states for trace in self.traces]).rows(torch.from_numpy(places))
        height, width, channels = self.episodes[0].observations.shape[1:]
        model, parts = self.traces[0].model, torch.arange(len(places)).split(BATCH)
        return torch.cat([model.decode(state.rows(part), (height, width, channels)) for part in parts]).numpy()


def measure_held_out(
    world: World, seen: Sequence[Episode], held_out: Sequence[Episode], frames: int = MAX_FRAMES
) -> Measurement:
    """Measures a world.

    Args:
        world: The world, on the processor.
        seen: The episodes that the world was trained on.
        held_out: The episodes to measure on.
        frames: Number of evenly spaced frames of them to decode, at most.

    Returns:
        The measurement.
    """
    traces = world.follow(record(world.model, held_out, world.config), seed=None)
    vision = read_vision(world.model.vision, held_out, frames) if isinstance(world.model, MDNRNN) else None
    report = WorldReport(
        vision=None if vision is None else report_readings(vision),
        memory=report_memory(traces, world.config),
        learned=dict(Counter(ending_kinds(seen))),
        one_step=report_one_step(traces, held_out, frames),
    )
    return Measurement(held_out, traces, vision, report)
