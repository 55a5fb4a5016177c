"""Settings of PPO, apart from its training, so that they load without Stable-Baselines3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dreamenv.agents.dreams import DreamConfig
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import Count, Range, Share, Weight


@dataclass(frozen=True, kw_only=True)
class PPOConfig(DreamConfig):
    """How PPO is trained in the dream; beside the settings of :class:`DreamConfig`.

    Attributes:
        timesteps: Decisions in all, as many dream steps unless actions are held. A run that is to go on keeps its
            number, as its learning rate falls to 0 with them.
        n_steps: Decisions in every dream per update.
        batch_size: Of a gradient step.
        n_epochs: Passes over each update's data.
        learning_rate: At the start; falls linearly to 0.
        gamma: Discount from one decision to the next.
        ent_coef: Weight of the entropy bonus.
        net_arch: Hidden layers of policy and value.
        normalize_reward: Divide rewards by the running standard deviation of the discounted return, for worlds that pay
            more than about 1 an episode (VecNormalize of Stable-Baselines3; a resumed run measures it anew).
        action_repeat: Steps that the agent holds every action for, in the dream and in reality.
        log_std: Logarithm of the standard deviation of Box actions at the start, of a warm one too; a Box is scaled to
            go from -1 to 1.
    """

    timesteps: Count = 1_600_000
    n_steps: Count = 64
    batch_size: Annotated[int, Range(2, integer=True)] = 2048
    n_epochs: Count = 6
    learning_rate: Weight = 5e-4
    gamma: Share = 0.99
    ent_coef: Weight = 0.0005
    net_arch: tuple[Count, ...] = (128, 128)
    normalize_reward: bool = False
    action_repeat: Count = 1
    log_std: Annotated[float, Range(-10, 2)] = -0.7

    def __post_init__(self) -> None:
        """Refuses settings that do not fit each other."""
        super().__post_init__()
        if self.num_envs * self.n_steps < 2:
            raise SettingsError(f"expected num_envs * n_steps of at least 2, got {self.num_envs} * {self.n_steps}")
