"""dreamenv dreamer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from dreamenv.cli.online import run_online
from dreamenv.cli.options import Flat, Texts, read_recipe
from dreamenv.rounds.online_config import DreamerConfig, Size, online_config


@dataclass(frozen=True)
class Dreamer:
    """Learn a world, an actor and a critic from the first frame on, online, as Dreamer does.

    Attributes:
        env: Gymnasium id of the real environment; module:id for one that a module registers.
        world: Folder for the world; holds the round that was best in reality.
        env_kwargs: Arguments of the environment, key=value; values are JSON, else strings.
        wrappers: Functions or classes that wrap the environment, module:name.
        device: Where to train and to act, as torch names it: cpu, cuda.
        version: Of Dreamer: 1 has a Gaussian z, 2 a categorical one.
        size: The published sizes, or small ones for a processor. The settings below are those of this version and size.
        config: Settings.
    """

    env: str
    world: Path
    env_kwargs: Texts = ()
    wrappers: Texts = ()
    device: str = "cpu"
    version: Literal[1, 2] = 2
    size: Size = "small"
    config: Annotated[DreamerConfig, Flat] = online_config("dreamer-v2")  # type: ignore[assignment]

    def run(self) -> None:
        """Learns, plots the rounds and prints their table."""
        run_online(read_recipe(self.env, self.env_kwargs, self.wrappers), self.world, self.config, self.device)
