"""Reads the logs of trainings: TensorBoard's scalars, settings, and the records of agents."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from pydantic import TypeAdapter, ValidationError

from dreamenv.agents.actor_critic.policy import KIND as ACTOR_CRITIC
from dreamenv.agents.evolve import Evolution
from dreamenv.agents.store import AgentConfig
from dreamenv.bundle import CONFIG, parse_config
from dreamenv.foundation.errors import BundleError
from dreamenv.training.checkpoint import checkpoints, fingerprint_of

EVENTS = "events.out.tfevents.*"
RETURNS = {  # scalars of trainings, by what these count: folder, name there, and what it is
    "dream steps": ("", "rollout/ep_rew_mean", "mean of the last 100 dreams"),  # as Stable-Baselines3 names it
    "updates": (ACTOR_CRITIC, "return", "mean lambda return: discounted, in part the critic's own estimate"),
}


@dataclass(frozen=True)
class Curve:
    """One quantity over a training.

    Attributes:
        name: What it is.
        steps: Where it was noted, rising.
        values: What it was there, all finite.
    """

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class AgentLog:
    """How an agent was trained.

    Attributes:
        name: Of its folder.
        unit: What its training counts: generations, dream steps or updates; empty if it left no record.
        returns: Cumulative reward of dreams, by candidate or evaluation; none if the training left no record.
        sigma_squared: CMA-ES's squared step size by generation; None for other trainings.
        same_world: Whether it was trained in this very world; None if it is unknown.
    """

    name: str
    unit: str
    returns: tuple[Curve, ...]
    sigma_squared: Curve | None
    same_world: bool | None


def read_curves(folder: Path) -> dict[str, Curve]:
    """Reads the scalars of all event files below a folder; of a step noted twice, as after resuming, the later note.

    Returns:
        Curves by name; none without event files.
    """
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
        EventAccumulator,
    )

    notes: dict[str, dict[int, tuple[float, float]]] = {}
    for place in sorted({path.parent for path in folder.rglob(EVENTS)}):
        # Not purged: a resumed run repeats the steps it had lost, and purging drops a good note here and there.
        events = EventAccumulator(str(place), size_guidance={"scalars": 0}, purge_orphaned_data=False)
        events.Reload()
        for name in events.Tags()["scalars"]:
            noted = notes.setdefault(name, {})
            for event in events.Scalars(name):
                if math.isfinite(event.value):
                    noted[event.step] = max(noted.get(event.step, (0.0, 0.0)), (event.wall_time, event.value))
    return {
        name: _curve(name, {step: value for step, (_, value) in noted.items()})
        for name, noted in notes.items()
        if noted
    }


def read_trainings(folder: Path) -> dict[str, tuple[Curve, ...]]:
    """Reads the scalars of every stage of a training.

    Args:
        folder: Such as ``training`` in a world's folder, with a folder for each stage; may be missing.

    Returns:
        Curves by stage, in the order of the folders' names; stages without event files are left out.
    """
    stages = {place.name: tuple(read_curves(place).values()) for place in sorted(folder.glob("*/"))}
    return {stage: curves for stage, curves in stages.items() if curves}


def read_settings(folder: Path) -> dict[str, Any]:
    """Reads the settings of a training from its checkpoint; empty if there is none, or one of another kind.

    Raises:
        BundleError: If it is damaged.
    """
    found = checkpoints(folder)
    if not found:
        return {}
    try:
        _, _, (_, settings) = json.loads(fingerprint_of(found[0]))  # see fit, train_vision, train_memory
        return dict(settings)
    except safetensors.SafetensorError as error:
        raise BundleError(f"{found[0]} is damaged: {error}") from None
    except (KeyError, TypeError, ValueError):
        return {}


def read_agents(folder: Path, world: str) -> tuple[AgentLog, ...]:
    """Reads how the agents in the subfolders of ``folder`` were trained.

    Args:
        folder: Such as ``agents`` in a world's folder; may be missing.
        world: Identity of the world, see :func:`dreamenv.bundle.world_id`.

    Returns:
        In the order of their names.

    Raises:
        BundleError: If a record cannot be read.
    """
    return tuple(_read_agent(place, world) for place in sorted(folder.glob("*/")))


def _read_agent(folder: Path, world: str) -> AgentLog:
    path, same = folder / CONFIG, None
    if path.is_file():
        same = parse_config(path.read_bytes(), AgentConfig, path).world == world
    if (folder / "evolution.json").is_file():
        record = _read_evolution(folder / "evolution.json")
        sigma_squared = _curve("sigma squared", {g: sigma**2 for g, sigma in enumerate(record.sigma, start=1)})
        return AgentLog(folder.name, "generations", _returns(record), sigma_squared if record.sigma else None, same)
    for unit, (place, scalar, name) in RETURNS.items():
        if curve := read_curves(folder / place).get(scalar):
            return AgentLog(folder.name, unit, (dataclasses.replace(curve, name=name),), None, same)
    return AgentLog(folder.name, "", (), None, same)


def _read_evolution(path: Path) -> Evolution:
    try:
        return TypeAdapter(Evolution).validate_json(path.read_bytes())
    except ValidationError as error:
        raise BundleError(f"{path} is not the record of an evolution: {error}") from None


def _returns(record: Evolution) -> tuple[Curve, ...]:
    curves = (
        _curve("best candidate", {g: max(fitness) for g, fitness in enumerate(record.fitness, start=1)}),
        _curve("mean of the candidates", {g: sum(f) / len(f) for g, f in enumerate(record.fitness, start=1)}),
        _curve("the agent, on fixed seeds", record.evaluations),
    )
    return tuple(curve for curve in curves if curve.steps)


def _curve(name: str, values: dict[int, float]) -> Curve:
    return Curve(name, tuple(sorted(values)), tuple(values[step] for step in sorted(values)))
