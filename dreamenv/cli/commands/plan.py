"""dreamenv plan."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.cli.inputs import results_home
from dreamenv.cli.options import Flat
from dreamenv.cli.output import say, say_dreamed, say_next
from dreamenv.foundation.ranges import Natural, Settings

if TYPE_CHECKING:
    from dreamenv.agents.planner import Planner

MEASURED = 2  # dreams in whose first step decisions are timed


@dataclass(frozen=True)
class Plan(Settings):
    """Make an agent that plans every action in the dream, by the cross-entropy method.

    Attributes:
        world: Folder of a world, or the name of one that ships, such as sidewalk.
        agent: Folder for the agent; agents/planner in the world's folder by default.
        device: Where to measure and score the agent, as torch names it: cpu, cuda.
        dreams: Dreams in which the agent is scored; 0 for none.
        config: Settings.
    """

    world: str
    agent: Path | None = None
    device: str = "cpu"
    dreams: Natural = 4
    config: Annotated[PlannerConfig, Flat] = PlannerConfig()

    def run(self) -> None:
        """Saves the agent, and prints the time that it takes and its score in the dream."""
        from dreamenv.agents.planner import save_planner
        from dreamenv.bundle import load

        folder, world = self.agent or results_home(self.world) / "agents" / "planner", load(self.world, self.device)
        agent = save_planner(folder, world, self.config)
        seconds, limit = _seconds_per_decision(agent), world.config.max_episode_steps
        say(f"planner in {folder}: {seconds:.3f} s per decision, at most {seconds * limit:.0f} s per episode")
        if self.dreams:
            advice = ": try a longer --horizon, or more --candidates"
            say_dreamed(world, agent, self.config.seed, dreams=self.dreams, advice=advice)
        say_next(["compare", "--world", self.world, "--agent", folder])


def _seconds_per_decision(agent: Planner) -> float:
    """Time for a decision of one environment, at the beginning of dreams; the first one warms up."""
    from dreamenv.envs.dream_vector import DreamVectorEnv

    observation, _ = DreamVectorEnv(agent.world, 1 + MEASURED).reset(seed=0)
    agent.predict(observation[0], deterministic=True)
    begin = time.monotonic()
    for row in observation[1:]:
        agent.predict(row, deterministic=True)
    return (time.monotonic() - begin) / MEASURED
