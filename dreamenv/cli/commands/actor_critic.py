"""dreamenv actor-critic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.cli.inputs import results_home
from dreamenv.cli.options import Flat
from dreamenv.cli.output import say, say_dreamed, say_next


@dataclass(frozen=True)
class ActorCritic:
    """Train an actor and a critic in imagination, as Dreamer does.

    Attributes:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder for the agent; agents/actor-critic in the world's folder by default.
        device: Where to imagine and train, as torch names it: cpu, cuda.
        config: Settings.
    """

    world: str
    agent: Path | None = None
    device: str = "cpu"
    config: Annotated[ActorCriticConfig, Flat] = ActorCriticConfig()

    def run(self) -> None:
        """Trains and saves an agent, and prints its score in the dream."""
        from dreamenv.agents.actor_critic.train import train_actor_critic
        from dreamenv.bundle import load

        folder = self.agent or results_home(self.world) / "agents" / "actor-critic"
        world = load(self.world, self.device)
        agent = train_actor_critic(world, folder, self.config)
        say(f"actor-critic after {self.config.updates:,} updates in {folder}")
        say_dreamed(world, agent, self.config.seed)
        say_next(["compare", "--world", self.world, "--agent", folder])
