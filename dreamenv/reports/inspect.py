"""Inspects a world: every measurement as JSON, and as one page to read."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from dreamenv.bundle import as_world
from dreamenv.config import WorldConfig
from dreamenv.data.store import EpisodeStore
from dreamenv.engine.placement import on_device
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.files import write_bytes, write_json
from dreamenv.reports.page import render
from dreamenv.reports.page_agents import agents_section
from dreamenv.reports.page_heads import heads_section
from dreamenv.reports.page_memory import memory_section
from dreamenv.reports.page_prediction import prediction_section
from dreamenv.reports.page_rssm import rssm_section
from dreamenv.reports.page_vision import vision_section
from dreamenv.reports.results import InspectConfig, Inspection, Pictures, measure
from dreamenv.world import World


def inspect(
    world: World | str | Path,
    store: EpisodeStore,
    folder: str | Path,
    config: InspectConfig | None = None,
    *,
    logs: str | Path | None = None,
) -> Inspection:
    """Measures a world's model of any kind, and its agents; the page describes a good value for each measurement.

    Predictions, heads and agents have their chapters for every kind of world model, V and M for an MDN-RNN, posterior
    and prior for an RSSM.

    Args:
        world: A world, the name of a shipped one, or a folder.
        store: Real episodes of its environment; the model is measured on those that are held out.
        folder: Folder for ``inspection.json``, all numbers, and ``inspection.html``, a page that needs no other file.
        config: Settings.
        logs: Folder in which ``training`` and ``agents`` left their logs; the world's own if None. The page lists what
            is missing there.

    Returns:
        All numbers.

    Raises:
        SettingsError: If the episodes are of another environment.
        StoreError: If there are too few episodes.
        BundleError: If the world, or a record of its training, cannot be read.
    """
    config, folder = config or InspectConfig(), Path(folder)
    world = on_device(as_world(world), "cpu")
    expected, spec = world.config, store.spec
    if (spec.recipe, spec.frame_shape, spec.action) != (expected.recipe, expected.frame_shape, expected.action):
        raise SettingsError(
            f"expected episodes of {expected.recipe} with frames {expected.frame_shape} and {expected.action}; got "
            f"{spec} in {store.folder}"
        )
    place = Path(logs) if logs is not None else world.path or folder
    inspection, pictures = measure(world, store, config, place)
    write_json(folder / "inspection.json", _plain(dataclasses.asdict(inspection)))
    write_bytes(folder / "inspection.html", write_page(world, inspection, pictures).encode())
    return inspection


def write_page(world: World, inspection: Inspection, pictures: Pictures) -> str:
    """The page as HTML."""
    config = world.config
    actions = f"{config.action.n} actions" if config.action.discrete else f"actions of {config.action.size} dimensions"
    subtitle = (
        f"z of {world.model.latent_size}, h of {world.model.hidden_size}, {_sizes(inspection, config)}{actions}, at "
        f"most {config.max_episode_steps} steps. Measured on {inspection.episodes} held-out episodes."
    )
    vision, memory, rssm = inspection.vision, inspection.memory, inspection.rssm
    sections = (
        prediction_section(inspection, pictures),
        *(() if vision is None else (vision_section(inspection, vision, pictures.reconstructions),)),
        *(() if memory is None else (memory_section(inspection, memory),)),
        *(() if rssm is None else (rssm_section(inspection, rssm),)),
        heads_section(inspection),
        agents_section(inspection),
    )
    return render(f"Inspection of a world: {config.env_id}", subtitle, sections)


def _sizes(inspection: Inspection, config: WorldConfig) -> str:
    """What else there is to say of the sizes of a world model of the package; it ends with a comma."""
    if inspection.memory is not None:
        return f"{config.model.memory.components} components ({config.model.memory.mixture}), "
    if inspection.rssm is None:
        return f"kind {inspection.kind}, "
    classes = inspection.rssm.classes
    return "Gaussian z, " if classes is None else f"{config.model.latent_size} variables of {classes} classes, "


def _plain(value: Any) -> Any:
    """Values for JSON: numbers that are not finite, as a mean over no steps, become None."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
