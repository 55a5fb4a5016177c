"""Worlds, agents and episodes that commands read, and the folders of their results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dreamenv.cli.output import shell_command
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.manifest import MANIFEST
from dreamenv.foundation.recipe import EnvRecipe

if TYPE_CHECKING:
    from dreamenv.data.store import EpisodeStore
    from dreamenv.rollouts import Policy
    from dreamenv.world import World


def results_home(world: str) -> Path:
    """Where results for a world go: its own folder, or runs/NAME for one that ships."""
    return Path(world) if (Path(world) / MANIFEST).is_file() else Path("runs") / world


def agent_for(world: World, name: str) -> Policy:
    """Loads an agent; prints a note if it was trained in another world.

    Raises:
        SettingsError: If it is for another environment, or a world of another size.
    """
    from dreamenv.agents.load import load_agent
    from dreamenv.agents.store import read_agent
    from dreamenv.bundle import world_id
    from dreamenv.world import showing

    facts = read_agent(name)[0]
    if facts.env_id != world.config.env_id:
        raise SettingsError(f"expected an agent for {world.config.env_id}, got one for {facts.env_id} in {name}")
    if facts.feature_size != (size := showing(world, facts.inputs).feature_size):
        raise SettingsError(f"expected an agent for {size} features, got one for {facts.feature_size} in {name}")
    if facts.world != (own := world_id(world)):
        note = (
            f"note: {name} was trained in world {facts.world[:12]}, this is {own[:12]}: [z, h] may mean something else"
        )
        print(note, file=sys.stderr)
    return load_agent(name)


def episodes_of(world: World, folder: Path) -> EpisodeStore:
    """Opens the recorded episodes of a world.

    Raises:
        SettingsError: If there are none. Worlds that ship have none.
    """
    from dreamenv.data.store import EpisodeStore

    if not folder.is_dir():
        collect = shell_command(["collect", *_env_options(world.config.recipe), "--world", folder.parent])
        raise SettingsError(
            f"expected recorded episodes in {folder}, got none: collect some with {collect}, or say where they are "
            "with --episodes"
        )
    return EpisodeStore(folder)


def _env_options(recipe: EnvRecipe) -> list[str]:
    """The options of ``dreamenv collect`` for a recipe."""
    kwargs = [f"{name}={json.dumps(value)}" for name, value in recipe.kwargs.items()]
    options = {"--env": [recipe.id], "--env-kwargs": kwargs, "--wrappers": recipe.wrappers}
    return [text for option, values in options.items() if values for text in (option, *values)]
