"""dreamenv: `DreamVectorEnv`, and Gymnasium's `SyncVectorEnv` of single `DreamEnv`s, in the shipped world."""

from collections.abc import Callable
from itertools import cycle

from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from sizes import draw_actions

import dreamenv

WORLD = "sidewalk"


def stepped(env: VectorEnv) -> Callable[[], object]:
    """A step: `env.step`; an environment whose episode ended begins the next one in the same step."""
    actions = cycle(draw_actions(env.num_envs))
    env.reset(seed=0)
    return lambda: env.step(next(actions))


def dream_vector_env(num_envs: int, dtype: str = "float32") -> Callable[[], object]:
    """One batch."""
    return stepped(dreamenv.DreamVectorEnv(WORLD, num_envs, dtype=dtype, autoreset_mode=AutoresetMode.SAME_STEP))


def int8_dream_vector_env(num_envs: int) -> Callable[[], object]:
    """One batch, products in eight bits."""
    return dream_vector_env(num_envs, "int8")


def sync_vector_env(num_envs: int) -> Callable[[], object]:
    """One after the other."""
    world = dreamenv.load(WORLD)
    envs = [lambda: dreamenv.DreamEnv(world)] * num_envs
    return stepped(SyncVectorEnv(envs, autoreset_mode=AutoresetMode.SAME_STEP))
