"""A world measured on held-out episodes: one value that a training's report and the inspection read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dreamenv.data.endings import ending_kinds
from dreamenv.data.episodes import Episode
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.recordings import record
from dreamenv.reports.model_report import MemoryReport, report_memory
from dreamenv.reports.vision_report import MAX_FRAMES, VisionReadings, VisionReport, read_vision, report_readings
from dreamenv.world import Trace, World


@dataclass(frozen=True)
class WorldReport:
    """V and M on held-out episodes.

    Attributes:
        vision: V; None if the world model has none of its own.
        memory: What the world model expects of steps.
        learned: How many of the other episodes ended in each kind of ending.
    """

    vision: VisionReport | None
    memory: MemoryReport
    learned: dict[str, int]


@dataclass(frozen=True, eq=False)
class Measurement:
    """A world on held-out episodes.

    Attributes:
        episodes: The held-out episodes.
        traces: The same episodes followed by the world, with z at its posteriors' modes.
        vision: Frames with what V makes of them; None if the world model has no V of its own.
        report: The errors.
    """

    episodes: Sequence[Episode]
    traces: Sequence[Trace]
    vision: VisionReadings | None
    report: WorldReport


def measure_held_out(
    world: World, seen: Sequence[Episode], held_out: Sequence[Episode], frames: int = MAX_FRAMES
) -> Measurement:
    """Measures a world.

    Args:
        world: The world, on the processor.
        seen: The episodes that the world was trained on.
        held_out: The episodes to measure on.
        frames: Number of evenly spaced frames of them to measure V on, at most.

    Returns:
        The measurement.
    """
    traces = world.follow(record(world.model, held_out, world.config), seed=None)
    vision = read_vision(world.model.vision, held_out, frames) if isinstance(world.model, MDNRNN) else None
    report = WorldReport(
        vision=None if vision is None else report_readings(vision),
        memory=report_memory(traces, world.config),
        learned=dict(Counter(ending_kinds(seen))),
    )
    return Measurement(held_out, traces, vision, report)
