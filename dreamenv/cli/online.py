"""What the commands that learn online share: their settings, and what they print."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, get_args

from dreamenv.cli.options import Flat
from dreamenv.cli.output import say, say_next
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.recipe import EnvRecipe
from dreamenv.rounds.online_config import OnlineConfig, PlanetConfig, Size, online_config


def online_fields(command: Any, version: int, size: str) -> list[tuple[str, Any, Any]]:
    """Returns the field ``config`` of a command, with the settings of a version and a size.

    Args:
        command: A dataclass whose default ``config`` is an :class:`OnlineConfig`.
        version: Of Dreamer.
        size: Of the loop.

    Raises:
        SettingsError: If there is no such version or size.
    """
    for option, value, known in (("--version", version, (1, 2)), ("--size", size, get_args(Size))):
        if value not in known:
            raise SettingsError(f"expected {option} among {', '.join(map(str, known))}, got {value}")
    name: Any = "planet" if isinstance(command.config, PlanetConfig) else f"dreamer-v{version}"
    config = online_config(name, "published" if size == "published" else "small")
    return [("config", Annotated[type(config), Flat], dataclasses.field(default_factory=lambda: config))]


def run_online(env: EnvRecipe, world: Path, config: OnlineConfig, device: str) -> None:
    """Learns, plots the rounds and prints their table."""
    from dreamenv.evaluate.plots import plot_rounds
    from dreamenv.evaluate.rounds import best_round
    from dreamenv.evaluate.tables import rounds_table
    from dreamenv.rounds.online import agent_name, learn_online

    rounds = learn_online(env, world, config, device=device)
    plot_rounds(rounds, world / "rounds.png")
    agent, best = world / "agents" / agent_name(config), best_round(rounds)
    say(f"\n{rounds_table(rounds)}\n")
    say(f"world of round {best.number} in {world}, its agent in {agent}; rounds.png in {world}")
    say_next(["compare", "--world", world, "--agent", agent])
