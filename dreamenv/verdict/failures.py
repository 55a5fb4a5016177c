"""Dreams that branch off in the middle of real failures, and how many of them succeed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.evaluate.scores import is_success
from dreamenv.models.base import State
from dreamenv.rollouts import Outcome, Policy, rollout
from dreamenv.world import World


@dataclass(frozen=True)
class Failure:
    """A real episode without success, and the dreams that branch off its middle.

    Attributes:
        seed: Of the real episode.
        length: Its steps.
        terminated: Whether the environment ended it, and not the time limit.
        branch: Step at which the dreams branch off.
        promised: Share of these dreams that are successes.
    """

    seed: int
    length: int
    terminated: bool
    branch: int
    promised: float


def failures(
    world: World, agent: Policy, outcomes: Sequence[Outcome], *, temperature: float, dreams: int = 16, seed: int = 0
) -> tuple[Failure, ...]:
    """Dreams on from real failures; many successes mean that the dream misses the cause of the failures.

    Args:
        world: Replays the recorded frames and dreams on.
        agent: Acts greedily.
        outcomes: Real episodes with their frames, (T + 1, H, W, 3) uint8, as trajectories.
        temperature: Temperature of the dreams.
        dreams: Dreams per failure.
        seed: First seed of the dreams.

    Returns:
        The episodes without success, in the order of their seeds; none if the world defines no success.
    """
    failed = sorted((o for o in outcomes if not is_success(o, world.config)), key=lambda outcome: outcome.seed)
    if not failed or world.config.success_reward is None:
        return ()
    starts = [_middle(world, outcome) for outcome in failed]
    start = State.cat(starts)
    rows = torch.arange(len(failed)).repeat_interleave(dreams)
    env = DreamVectorEnv(
        world, len(rows), start=start.rows(rows), temperature=temperature, autoreset_mode=AutoresetMode.DISABLED
    )
    won = np.zeros(len(rows))
    for dreamed in rollout(env, agent, range(seed, seed + len(rows)), deterministic=True):
        won[dreamed.index] = is_success(dreamed, world.config)
    promised = won.reshape(len(failed), dreams).mean(1)
    return tuple(
        Failure(o.seed, o.length, o.terminated, o.length // 2, float(share))
        for o, share in zip(failed, promised, strict=True)
    )


def _middle(world: World, outcome: Outcome) -> State:
    assert outcome.trajectory is not None
    steps, half = outcome.trajectory, outcome.length // 2
    frames, actions = torch.from_numpy(steps.observations[: half + 1]), torch.as_tensor(steps.actions[:half])
    return world.replay(frames, actions, outcome.seed)
