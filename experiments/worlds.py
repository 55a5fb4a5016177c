"""What studies do with worlds: keep parts of a training, score agents in the dream and in reality."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from gymnasium.vector import AutoresetMode, VectorEnv

import dreamenv
from dreamenv.bundle import world_id
from dreamenv.config import WorldConfig
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.evaluate.scores import score
from dreamenv.foundation.seeds import TEST_SEED, VALIDATION_SEED
from dreamenv.models.mdnrnn.model import MDNRNN, build_memory
from dreamenv.world import World, seen_by
from experiments.show import Row

ENV = "MiniWorld-Sidewalk-v0"
PPO = dreamenv.PPOConfig(temperature=1.15)
FIRST_SEED = {"dream": TEST_SEED, "validation": VALIDATION_SEED, "test": TEST_SEED}
REAL = ("validation", "test")  # for choosing, and for the table
WAYS = ("greedy", "sampling")
FACTS = ("success", "mean", "std", "low", "high", "length")  # success is None where the world knows none


def identity(world: str | Path) -> str:
    """Of a stored world: the row of another one does not count."""
    return world_id(dreamenv.load(world))


def with_fresh_memory(world: World, seed: int) -> World:
    """The same V with an M of random weights: what a training that keeps V begins with."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        memory = build_memory(world.config.model, world.config.action, 1 + len(world.config.endings))
    model: Any = world.model
    return replace(world, model=MDNRNN(model.vision, memory), path=None)


def keeping(train: dreamenv.TrainConfig, *parts: Literal["vision", "memory"]) -> dreamenv.TrainConfig:
    """The settings of a training that leaves V or M as they are."""
    kept: dict[str, Any] = {}
    for part in parts:
        settings = getattr(train, part)
        kept[part] = replace(settings, fit=replace(settings.fit, steps=0))
    return replace(train, **kept)


def trained(
    world: World,
    folder: Path,
    config: dreamenv.PPOConfig | dreamenv.EvolveConfig | None,
    episodes: int,
    dream: dict[str, Any] | None = None,
    sides: Sequence[str] = REAL,
    ways: Sequence[str] = WAYS,
) -> Row:
    """Trains an agent, or loads it if there is no config; returns its scores, and the seconds that both took.

    It is scored in the dream with these options (not at all if None), and in reality as by :func:`real_scores`.
    """
    begin = time.monotonic()
    if config is None:
        agent: dreamenv.Policy = dreamenv.load_agent(folder)
    elif isinstance(config, dreamenv.EvolveConfig):
        agent = dreamenv.evolve(world, folder, config)
    else:
        agent = dreamenv.train_ppo(world, folder, config)
    done = time.monotonic()
    found = {} if dream is None else dream_scores(world, agent, episodes, **dream)
    found |= real_scores(world, agent, episodes, sides, ways)
    return {"seconds": {"training": round(done - begin), "scores": round(time.monotonic() - done)}, **found}


def dream_scores(world: World, agent: dreamenv.Policy, episodes: int, **dream: Any) -> Row:
    """Greedy and sampling in the dream that an agent sees, on as many seeds."""
    shown = seen_by(world, agent)
    env = dreamenv.DreamVectorEnv(shown, min(episodes, 100), autoreset_mode=AutoresetMode.DISABLED, **dream)
    return scores(env, agent, episodes, world.config, ("dream",))


def real_scores(
    world: World, agent: dreamenv.Policy, episodes: int, sides: Sequence[str] = REAL, ways: Sequence[str] = WAYS
) -> Row:
    """The same in reality, on validation and on test seeds."""
    env = make_latent_vector(seen_by(world, agent), min(episodes, 8), AutoresetMode.DISABLED)
    return scores(env, agent, episodes, world.config, sides, ways)


def scores(
    env: VectorEnv,
    agent: dreamenv.Policy,
    episodes: int,
    config: WorldConfig,
    sides: Sequence[str],
    ways: Sequence[str] = WAYS,
) -> Row:
    """An entry ``SIDE WAY`` for each; closes the environment."""
    row = {}
    for side in sides:
        seeds = range(FIRST_SEED[side], FIRST_SEED[side] + episodes)
        for way in ways:
            found = score(env, agent, seeds, config, name=way, deterministic=way == "greedy")
            row[f"{side} {way}"] = facts(found)
    env.close()
    return row


def facts(found: Any) -> Row:
    """What a table needs of a score."""
    return {fact: getattr(found, fact) for fact in FACTS}
