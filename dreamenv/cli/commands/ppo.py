"""dreamenv ppo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.agents.ppo_config import PPOConfig
from dreamenv.cli.inputs import results_home
from dreamenv.cli.options import Flat
from dreamenv.cli.output import say, say_dreamed, say_next


@dataclass(frozen=True)
class Ppo:
    """Train Stable-Baselines3's PPO in the dream.

    Attributes:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder for the agent; agents/ppo in the world's folder by default.
        device: Where to dream and train, as torch names it: cpu, cuda.
        config: Settings.
    """

    world: str
    agent: Path | None = None
    device: str = "cpu"
    config: Annotated[PPOConfig, Flat] = PPOConfig()

    def run(self) -> None:
        """Trains and saves an agent, and prints its score in the dream."""
        from dreamenv.agents.ppo import train_ppo
        from dreamenv.bundle import load

        folder, world = self.agent or results_home(self.world) / "agents" / "ppo", load(self.world, self.device)
        agent = train_ppo(world, folder, self.config)
        say(f"PPO agent after {self.config.timesteps * self.config.action_repeat:,} dream steps in {folder}")
        say_dreamed(world, agent, self.config.seed)
        say_next(["compare", "--world", self.world, "--agent", folder])
