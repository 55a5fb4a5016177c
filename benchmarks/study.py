"""What the experiments have in common: worlds made once, agents scored once, on the same seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

import dreamenv
from dreamenv.envs.latent import make_latent_vector
from dreamenv.evaluate.choose import VALIDATION_SEED
from dreamenv.evaluate.compare import TEST_SEED
from dreamenv.evaluate.scores import Score, score
from dreamenv.files import write_json
from dreamenv.world import World, build_memory

ENV = "MiniWorld-Sidewalk-v0"
NARROW = dreamenv.ExplorationConfig(
    bump_and_turn=0.8,
    preference=0.2,
    sticky=0.0,
    noise=(0.0, 0.05, 0.05, 0.15),
    preference_strength=(2.5, 2.5),
    patience=(0,),
)
Row = dict[str, Any]


def once(path: Path, make: Callable[[], Row]) -> Row:
    """The row stored in a file; made and stored if there is none."""
    if path.exists():
        return json.loads(path.read_text())
    row = make()
    write_json(path, row)
    return row


def with_fresh_memory(world: World, seed: int) -> World:
    """The same V with an M of random weights: what a training that keeps V begins with."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return World(world.config, world.vision, build_memory(world.config), world.bank)


def real_scores(world: dreamenv.World, agent: dreamenv.Policy, episodes: int) -> Row:
    """Greedy and sampling, on validation seeds, for choosing, and on test seeds, for the table."""
    env = make_latent_vector(world, 8, AutoresetMode.DISABLED)
    row = {
        key: value
        for first, side in ((VALIDATION_SEED, "validation"), (TEST_SEED, "test"))
        for key, value in both_ways(env, agent, range(first, first + episodes), world.config, side).items()
    }
    env.close()
    return row


def validation_scores(world: dreamenv.World, agent: dreamenv.Policy, episodes: int) -> Row:
    """Greedy and sampling, on validation seeds only."""
    env = make_latent_vector(world, 8, AutoresetMode.DISABLED)
    row = both_ways(env, agent, range(VALIDATION_SEED, VALIDATION_SEED + episodes), world.config, "validation")
    env.close()
    return row


def dream_scores(world: dreamenv.World, agent: dreamenv.Policy, episodes: int, **dream: Any) -> Row:
    """Greedy and sampling in the dream, on as many seeds."""
    env = dreamenv.DreamVectorEnv(world, min(episodes, 100), autoreset_mode=AutoresetMode.DISABLED, **dream)
    return both_ways(env, agent, range(TEST_SEED, TEST_SEED + episodes), world.config, "dream")


def both_ways(env: Any, agent: dreamenv.Policy, seeds: range, config: dreamenv.WorldConfig, side: str) -> Row:
    """One row entry for the greedy and one for the sampling agent."""
    return {
        f"{side} {how}": facts(score(env, agent, seeds, config, name=how, deterministic=how == "greedy"))
        for how in ("greedy", "sampling")
    }


def facts(found: Score) -> Row:
    """What a table needs of a score."""
    return {fact: getattr(found, fact) or 0.0 for fact in ("success", "mean", "std", "low", "high", "length")}


def spread(rows: list[Row], place: str) -> str:
    """A table's cell: success as the mean of the rows, with the lowest and the highest in brackets, and mean return."""
    success = [row[place]["success"] for row in rows]
    mean = np.mean([row[place]["mean"] for row in rows])
    return f"{np.mean(success):.2f} ({min(success):.2f}-{max(success):.2f}) / {mean:.3f}"
