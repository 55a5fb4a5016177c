"""Real scores of agents that see a real frame at every k-th step only."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from dreamenv.bundle import as_world
from dreamenv.envs.pseudo import make_pseudo_dream
from dreamenv.evaluate.scores import Score, score
from dreamenv.foundation.progress import advance_to, progress
from dreamenv.foundation.ranges import Count, Seed, Settings, Temperature
from dreamenv.foundation.seeds import VALIDATION_SEED
from dreamenv.rollouts import Policy
from dreamenv.world import World, seen_by


@dataclass(frozen=True)
class HorizonConfig(Settings):
    """Settings of measurements by horizon.

    Attributes:
        horizons: Steps dreamed on from a real moment.
        every: The agent sees the real frame at every k-th step, for each of these k.
        temperature: Temperature of the dream; the world's default if None.
        episodes: Real episodes per k.
        seed: First seed of the episodes.
        num_envs: Real environments stepped side by side.
    """

    horizons: tuple[Count, ...] = (1, 2, 4, 8, 16, 32)
    every: tuple[Count, ...] = (1, 2, 4, 8, 16, 32, 1000)
    temperature: Temperature | None = None
    episodes: Count = 100
    seed: Seed = VALIDATION_SEED
    num_envs: Count = 8


def score_by_sight(world: World | str | Path, agent: Policy, config: HorizonConfig | None = None) -> dict[int, Score]:
    """Real scores of an agent, greedy, that sees every k-th frame and dreams the others, by k.

    Args:
        world: A world, the name of a shipped one, or a folder.
        agent: Any object with Stable-Baselines3's ``predict``.
        config: Settings.

    Returns:
        The scores, in the order of ``config.every``.
    """
    config, world = config or HorizonConfig(), seen_by(as_world(world), agent)
    seeds = range(config.seed, config.seed + config.episodes)
    steps = config.episodes * world.config.max_episode_steps
    scores = {}
    with progress(total=len(config.every) * steps, unit="step", desc="horizon") as bar:
        for number, every in enumerate(config.every, start=1):
            env = make_pseudo_dream(world, config.num_envs, every=every, temperature=config.temperature)
            with contextlib.closing(env):
                scores[every] = score(
                    env, agent, seeds, world.config, name=f"every {every}", deterministic=True, on_step=bar.update
                )
            advance_to(bar, number * steps)
    return scores
