"""Dream score beside real score, by temperature."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from pydantic import BeforeValidator, TypeAdapter

from dreamenv.bundle import as_world, world_id
from dreamenv.config import WorldConfig
from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.envs.latent_vector import VectorLatentObservation
from dreamenv.evaluate.baselines import Row, source, stored_or_played
from dreamenv.evaluate.groups import GroupScore, SightLog, group_scores
from dreamenv.evaluate.scores import (
    CONSTANT,
    UNIFORM,
    ConstantPolicy,
    Place,
    Score,
    UniformPolicy,
    agent_label,
    complete_record,
    score,
)
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.progress import advance_to, progress
from dreamenv.foundation.ranges import Count, Seed, Settings, Temperature
from dreamenv.foundation.seeds import TEST_SEED
from dreamenv.real.make import make_reality_vector
from dreamenv.rollouts import Policy
from dreamenv.world import World, seen_by

_OF_DREAMS = ("model", "endings", "ending_rules", "action_prior", "temperature")
_OLDER = BeforeValidator(complete_record)  # for records of older versions


@dataclass(frozen=True)
class CompareConfig(Settings):
    """Settings of a comparison.

    Attributes:
        temperatures: Temperatures of the dreams.
        episodes: Per policy and place.
        seed: First seed of the episodes: 80,000 to 80,099 to choose by, 90,000 and up to report, once.
        num_envs: Real environments stepped side by side.
    """

    temperatures: tuple[Temperature, ...] = (0.1, 0.5, 1.0, 1.15, 1.3)
    episodes: Count = 100
    seed: Seed = TEST_SEED
    num_envs: Count = 8


@dataclass(frozen=True)
class Comparison:
    """The scores of a comparison, and what is needed to repeat it.

    Attributes:
        env_id: The real environment.
        agent: Name or folder of the agent.
        world: Identity of the world, see :func:`dreamenv.bundle.world_id`.
        config: Settings.
        versions: Of the packages that matter.
        commit: Of dreamenv's checkout; None where it is installed without one.
        scores: One per policy, place and temperature.
        groups: The real scores by group of episodes; empty if the environment exposes no positions, and in records of
            older versions.
    """

    env_id: str
    agent: str
    world: str
    config: CompareConfig
    versions: dict[str, str]
    commit: str | None
    scores: tuple[Annotated[Score, _OLDER], ...]
    groups: tuple[Annotated[GroupScore, _OLDER], ...] = ()


@dataclass(frozen=True)
class Entry:
    """A policy of a comparison; its fields are those of :class:`~dreamenv.evaluate.scores.Score`."""

    name: str
    policy: Policy
    deterministic: bool
    baseline: bool = True


def compare(
    world: World | str | Path,
    agent: Policy,
    config: CompareConfig | None = None,
    *,
    name: str = "agent",
    baselines: Path | None = None,
    sampling: bool = True,
) -> Comparison:
    """Scores an agent in the dream at several temperatures and in reality, beside two baselines.

    Baselines ignore observations. The agent acts greedily and, if it is stochastic, also with sampled actions; every
    row has the same seeds.

    Args:
        world: A world, the name of a shipped one, or a folder.
        agent: Any object with Stable-Baselines3's ``predict``.
        config: Settings.
        name: Name of the agent, for the record.
        baselines: Folder that stores the scores of the baselines for other comparisons.
        sampling: Whether a stochastic agent is also scored with sampled actions, on as many real episodes again.

    Returns:
        The comparison.

    Raises:
        SettingsError: If a setting is out of range.
        BundleError: If the world cannot be loaded.
        RenderingError: If the real environment cannot draw.
    """
    config = config or CompareConfig()
    world = seen_by(as_world(world), agent)
    check_agent(world, agent)
    seeds = range(config.seed, config.seed + config.episodes)
    steps = config.episodes * world.config.max_episode_steps
    code = (versions(), commit())
    rows: list[Row] = []
    with contextlib.ExitStack() as opened:
        places = _places(world, config, opened)
        total = steps * len(places) * len(_lineup(world, agent, sampling))
        bar = opened.enter_context(progress(desc="compare", total=total, unit="step"))
        for place, env, temperature in places:
            for entry in _lineup(world, agent, sampling):  # made anew for every place, as policies draw
                bar.set_postfix_str(f"{entry.name}, {place}", refresh=False)
                play = functools.partial(_play, env, entry, seeds, world.config, temperature, bar.update)
                action = np.asarray(getattr(entry.policy, "action", ())).tolist()  # of a constant policy
                facts = [entry.name, action, list(seeds), *_facts(world, env, temperature), *code]
                rows.append(stored_or_played(baselines if entry.baseline else None, facts, play))
                advance_to(bar, steps * len(rows))
    scores, groups = tuple(row.score for row in rows), tuple(group for row in rows for group in row.groups)
    return Comparison(world.config.env_id, name, world_id(world), config, *code, scores, groups)


def versions() -> dict[str, str]:
    """Versions of dreamenv and of everything it needs."""
    needed = [line for line in importlib.metadata.requires("dreamenv") or [] if "extra ==" not in line]
    packages = ["dreamenv", *(re.split(r"[^\w.-]", line)[0] for line in needed)]
    return {package: importlib.metadata.version(package) for package in packages}


def commit() -> str | None:
    """Commit of the checkout that dreamenv is imported from, marked where files were changed; None without one."""
    try:
        _git("ls-files", "--error-unmatch", __file__)  # fails if dreamenv is only installed inside another checkout
        return _git("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def check_agent(world: World, agent: Policy) -> None:
    """Tests the agent on one batch, before hours of episodes.

    Raises:
        SettingsError: If the agent cannot act on the world's features or was trained on wrapped features, or acts
            outside of its action space.
    """
    from stable_baselines3.common.base_class import BaseAlgorithm

    from dreamenv.agents.raw import check_raw

    world = seen_by(world, agent)
    space, observation = world.config.action.space, np.zeros((2, world.feature_size), np.float32)
    if isinstance(agent, BaseAlgorithm):
        check_raw(agent, world)
        if agent.action_space != space:
            raise SettingsError(
                f"expected a model with actions {space}, got {agent.action_space}; save_sb3 scales them"
            )
    try:
        actions, _ = agent.predict(observation, None, np.ones(2, bool), True)
    except (ValueError, RuntimeError) as error:
        raise SettingsError(f"expected an agent for {world.feature_size} features: {error}") from None
    if not all(space.contains(action) for action in actions):
        raise SettingsError(f"expected an agent with actions in {space}, got {actions}")


def _places(
    world: World, config: CompareConfig, opened: contextlib.ExitStack
) -> list[tuple[Place, VectorEnv, float | None]]:
    dream = DreamVectorEnv(world, min(config.episodes, 256), autoreset_mode=AutoresetMode.DISABLED)
    opened.callback(dream.close)
    num_envs = min(config.num_envs, config.episodes)
    real = SightLog(VectorLatentObservation(make_reality_vector(world.config.recipe, num_envs), world))
    opened.callback(real.close)
    return [*(("dream", dream, temperature) for temperature in config.temperatures), ("real", real, None)]


def _play(
    env: VectorEnv,
    entry: Entry,
    seeds: Sequence[int],
    config: WorldConfig,
    temperature: float | None,
    on_step: Callable[[int], Any],
) -> Row:
    """Plays one row; with groups where the environment exposes positions."""
    row = score(
        env, entry.policy, seeds, config, name=entry.name, deterministic=entry.deterministic,
        baseline=entry.baseline, temperature=temperature, on_step=on_step,
    )  # fmt: skip
    return Row(row, group_scores(row, env.take()) if isinstance(env, SightLog) else ())


def _facts(world: World, env: VectorEnv, temperature: float | None) -> list[Any]:
    """Everything that a baseline's score depends on; in reality, the world model is no part of it."""
    if temperature is not None:
        return [env.num_envs, float(temperature), world_id(world), str(world.device)]
    config = TypeAdapter(WorldConfig).dump_python(world.config, mode="json")
    return [env.num_envs, source(env), {name: value for name, value in config.items() if name not in _OF_DREAMS}]


def _lineup(world: World, agent: Policy, sampling: bool) -> list[Entry]:
    entries = [Entry(agent_label(True), agent, deterministic=True, baseline=False)]
    if sampling and getattr(agent, "stochastic", True):
        entries.append(Entry(agent_label(False), agent, deterministic=False, baseline=False))
    entries.append(Entry(UNIFORM, UniformPolicy(world.config.action.space), deterministic=False))
    prior = world.config.action_prior
    if prior and world.config.action.discrete:
        likeliest = int(np.argmax(prior))
        entries.append(Entry(f"{CONSTANT}action {likeliest}", ConstantPolicy(likeliest), deterministic=True))
    elif prior:
        mean = ConstantPolicy(np.asarray(prior, np.float32))
        entries.append(Entry(f"{CONSTANT}the mean action", mean, deterministic=True))
    return entries
