"""Chooses among agents by their real scores on validation seeds."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dreamenv.bundle import as_world
from dreamenv.envs.latent_vector import VectorLatentObservation
from dreamenv.evaluate.compare import check_agent
from dreamenv.evaluate.scores import Score, score
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.progress import advance_to, progress
from dreamenv.foundation.ranges import Count, Seed, Settings
from dreamenv.foundation.seeds import VALIDATION_SEED
from dreamenv.real.make import make_reality_vector
from dreamenv.rollouts import Policy
from dreamenv.world import World, seen_by


@dataclass(frozen=True)
class ChooseConfig(Settings):
    """Settings of a choice.

    Attributes:
        episodes: Real episodes per agent, the same for all agents.
        seed: First seed of the episodes; those from 90,000 on are for the report.
        num_envs: Real environments stepped side by side.
    """

    episodes: Count = 100
    seed: Seed = VALIDATION_SEED
    num_envs: Count = 8


def choose(
    world: World | str | Path, agents: Mapping[str, Policy], config: ChooseConfig | None = None
) -> dict[str, Score]:
    """Scores agents in reality, acting greedily; a dream's score cannot choose, see the concepts.

    Args:
        world: The world whose features the agents see: a world, the name of a shipped one, or a folder.
        agents: By name.
        config: Settings.

    Returns:
        The scores by name, the highest mean return first.

    Raises:
        SettingsError: If there are no agents, no episodes, or if an agent does not fit the world.
    """
    config = config or ChooseConfig()
    if not agents:
        raise SettingsError("expected at least one agent to choose, got none")
    world = as_world(world)
    for agent in agents.values():
        check_agent(world, agent)
    real = make_reality_vector(world.config.recipe, min(config.num_envs, config.episodes))
    seeds = range(config.seed, config.seed + config.episodes)
    steps = config.episodes * world.config.max_episode_steps
    scores = {}
    with contextlib.closing(real), progress(total=len(agents) * steps, unit="step", desc="choose") as bar:
        for name, agent in agents.items():
            env = VectorLatentObservation(real, seen_by(world, agent))
            scores[name] = score(env, agent, seeds, world.config, name=name, deterministic=True, on_step=bar.update)
            advance_to(bar, len(scores) * steps)
    return dict(sorted(scores.items(), key=lambda item: -item[1].mean))
