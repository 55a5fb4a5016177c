"""The dreams that agents are trained in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gymnasium.vector import AutoresetMode, VectorEnv

from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.envs.settings import check_temperature
from dreamenv.envs.shaping import VectorActionPenalty
from dreamenv.foundation.ranges import PART, Count, Seed, Settings, Share
from dreamenv.models.view import Part
from dreamenv.world import World


@dataclass(frozen=True, kw_only=True)
class DreamConfig(Settings):
    """Settings of every training in dreams.

    Attributes:
        num_envs: Dreams in a batch.
        temperature: Of the dream: a number, or LOW HIGH from which every episode draws its own; the world's if None.
        branched_starts: Share of dreams that begin in the middle of a real episode.
        max_episode_steps: Truncate every dream after so many steps of its own, wherever it began; what would have come
            counts by the agent's own estimate, if it makes one. Only the real time limit if None.
        dropout: Share of h that M's heads do not see, drawn anew for every episode.
        action_penalty: Reward shaping, the action penalty: what the first action costs,
            or one cost for each action; 0 for none.
        inputs: What the agent sees of a state: some of z, h, c.
        seed: Of everything random.
    """

    num_envs: Count = 256
    temperature: float | tuple[float, float] | None = None
    branched_starts: Share = 0.3
    max_episode_steps: Count | None = None
    dropout: Annotated[float, PART] = 0.0
    action_penalty: float | tuple[float, ...] = 0.0
    inputs: tuple[Part, ...] = ("z", "h")
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Refuses dreams that no world has, before a folder is made for them."""
        super().__post_init__()
        if self.temperature is not None:
            check_temperature(self.temperature, self.num_envs)


def make_dreams(world: World, config: DreamConfig, autoreset_mode: AutoresetMode, tensors: bool = False) -> VectorEnv:
    """Makes a batch of dreams, with shaped rewards if the settings ask for an action penalty."""
    env: VectorEnv = DreamVectorEnv(
        world,
        config.num_envs,
        temperature=config.temperature,
        branched_starts=config.branched_starts,
        max_episode_steps=config.max_episode_steps,
        dropout=config.dropout,
        tensors=tensors,
        autoreset_mode=autoreset_mode,
    )
    return VectorActionPenalty(env, config.action_penalty) if config.action_penalty else env
