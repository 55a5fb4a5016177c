"""Examines an agent's dream: signs from dream and records, and the gap to reality."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gymnasium.vector import AutoresetMode

from dreamenv.agents.observing import ObservingAgent
from dreamenv.bundle import as_world
from dreamenv.data.store import EpisodeStore
from dreamenv.engine.placement import on_device
from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.evaluate.compare import check_agent
from dreamenv.evaluate.gap import Gap, best_temperature, gaps
from dreamenv.evaluate.scores import agent_label, score, summarise
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.progress import progress
from dreamenv.foundation.ranges import Count, Natural, Range, Seed, Settings, Share, Temperature
from dreamenv.foundation.seeds import DREAM_SEED, VALIDATION_SEED
from dreamenv.real.make import make_reality_vector
from dreamenv.rollouts import Outcome, Policy, rollout
from dreamenv.verdict.failures import Failure, failures
from dreamenv.verdict.judgement import LIMITS, Sign, Trust, believed, evidence
from dreamenv.verdict.partial import with_z_and_h
from dreamenv.verdict.signals import (
    Records,
    excess,
    haste,
    read_records,
    recorded_returns,
    shortfall,
    strangest_moments,
)
from dreamenv.world import World


@dataclass(frozen=True)
class TrustConfig(Settings):
    """Settings of an examination.

    Attributes:
        temperature: Temperature of the dream; the world's default if None.
        dreams: Dreamed episodes.
        seed: First seed of the dreamed episodes.
        gamma: Discount of the return that is compared with the records; if None, its horizon is the time limit: 0.99
            for 150 steps.
        ridge: Regularisation of that estimate, in transitions.
        real_episodes: Real episodes to play for the gap between dream and reality; 0 for none.
        real_seed: Their first seed.
        temperatures: Temperatures among which the one nearest to reality is searched.
        num_envs: Real environments stepped side by side.
    """

    temperature: Temperature | None = None
    dreams: Count = 100
    seed: Seed = DREAM_SEED
    gamma: Share | None = None
    ridge: Annotated[float, Range(0, without_low=True)] = 30.0
    real_episodes: Natural = 0
    real_seed: Seed = VALIDATION_SEED
    temperatures: tuple[Temperature, ...] = (0.1, 0.5, 1.0, 1.15, 1.3)
    num_envs: Count = 8

    def discount(self, max_episode_steps: int) -> float:
        """``gamma``, or a discount whose horizon is the time limit: 0.99 for 150 steps.

        A shorter horizon misses dreams whose error is that the agent survives.
        """
        return 1.0 - 1.5 / max(max_episode_steps, 2) if self.gamma is None else self.gamma


def trust(world: World | str | Path, agent: Policy, store: EpisodeStore, config: TrustConfig | None = None) -> Trust:
    """Looks for signs that an agent exploits its dream's errors; plays real episodes only for the gap, if set.

    Args:
        world: A world, the name of a shipped one, or a folder.
        agent: Any object with Stable-Baselines3's ``predict``. It is asked for its action at every recorded step: a
            planner needs the time of as many decisions.
        store: Recorded real episodes, those that the world was trained on.
        config: Settings.

    Returns:
        Signs, gaps and a verdict.

    Raises:
        SettingsError: If agent, world and episodes do not fit.
        StoreError: If there are too few episodes.
    """
    config = config or TrustConfig()
    world = on_device(as_world(world), "cpu")
    if store.spec.recipe != world.config.recipe:
        raise SettingsError(f"expected episodes of {world.config.recipe}, got {store.spec.recipe} in {store.folder}")
    check_agent(world, agent)
    world, agent = with_z_and_h(world, agent)
    seen, held_out = store.split()
    with progress(total=4 if config.real_episodes else 3, unit="stage", desc="trust") as bar:
        bar.set_postfix_str("dreams", refresh=True)
        outcomes = dream(world, agent, config)
        dreamed = summarise(outcomes, world.config, name=agent_label(True), temperature=_temperature(world, config))
        bar.update()
        bar.set_postfix_str("records", refresh=True)
        records = read_records(world, seen, held_out)
        bar.update()
        bar.set_postfix_str("signs", refresh=True)
        found = signals(world, agent, records, outcomes, config)
        signs = tuple(Sign(name, value, LIMITS[name]) for name, value in found.items())
        strip = strangest_moments(world, records, seen, outcomes)
        recorded = recorded_returns(records)
        left = believed(dreamed.mean, found["shortfall"], min(recorded))
        missing = evidence(dreamed.mean, recorded)
        successes = int(records.seen_successes.sum()) if "better" in world.config.endings else None
        bar.update()
        if not config.real_episodes:
            return Trust(dreamed, signs, strip, left, successes, missing)
        bar.set_postfix_str("reality", refresh=True)
        result = Trust(dreamed, signs, strip, left, successes, missing, *_reality(world, agent, config))
        bar.update()
        return result


def dream(world: World, agent: Policy, config: TrustConfig) -> list[Outcome]:
    """Plays the dreamed episodes, greedily, and records every step."""
    seeds = range(config.seed, config.seed + config.dreams)
    with contextlib.closing(_dreams(world, _temperature(world, config), config)) as env:
        return list(rollout(env, agent, seeds, deterministic=True, record=True))


def signals(
    world: World, agent: Policy, records: Records, outcomes: list[Outcome], config: TrustConfig
) -> dict[str, float]:
    """All signs, by name."""
    return {
        "shortfall": shortfall(
            world, agent, records, outcomes, gamma=config.discount(world.config.max_episode_steps), ridge=config.ridge
        ),
        "excess": excess(records, outcomes),
        "haste": haste(world, records, outcomes),
    }


def _reality(world: World, agent: Policy, config: TrustConfig) -> tuple[tuple[Gap, ...], tuple[Failure, ...], float]:
    """Plays real episodes, dreams at every temperature, and dreams on from real failures."""
    played = _play(world, agent, config)
    real = summarise(played, world.config, name=agent_label(True), temperature=None)
    seeds = range(config.seed, config.seed + config.dreams)
    dreams = [
        score(
            _dreams(world, t, config), agent, seeds, world.config,
            name=agent_label(True), deterministic=True, temperature=t,
        )
        for t in sorted({*config.temperatures, _temperature(world, config)})
    ]  # fmt: skip
    failed = failures(world, agent, played, temperature=_temperature(world, config), seed=config.seed)
    return tuple(gap for dreamed in dreams for gap in gaps(dreamed, real)), failed, best_temperature(dreams, real)


def _play(world: World, agent: Policy, config: TrustConfig) -> list[Outcome]:
    """Real episodes with their frames."""
    seeds = range(config.real_seed, config.real_seed + config.real_episodes)
    env = make_reality_vector(world.config.recipe, min(config.num_envs, config.real_episodes))
    with contextlib.closing(env):
        return list(rollout(env, ObservingAgent(world, agent, (0.0,), seeds), seeds, record=True))


def _dreams(world: World, temperature: float, config: TrustConfig) -> DreamVectorEnv:
    return DreamVectorEnv(
        world, min(config.dreams, 256), temperature=temperature, autoreset_mode=AutoresetMode.DISABLED
    )


def _temperature(world: World, config: TrustConfig) -> float:
    return world.config.temperature if config.temperature is None else config.temperature
