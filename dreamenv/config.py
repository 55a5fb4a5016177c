"""All facts of a world that are no tensors; builds a world model with fresh weights from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

import dreamenv.models.rssm.model  # noqa: F401 (registers its kind)
from dreamenv.data.endings import Kind
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.recipe import EnvRecipe
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.base import WorldModel
from dreamenv.models.heads import EndingRule
from dreamenv.models.mdnrnn.model import MDNRNNConfig
from dreamenv.models.registry import kind_of_config


@dataclass(frozen=True)
class WorldConfig:
    """All facts of a world that are no tensors.

    Attributes:
        env_id: Gymnasium id of the real environment.
        frame_shape: (height, width, 3) of its frames.
        action: Its action space.
        max_episode_steps: Its time limit.
        model: Sizes of the world model; their class determines its kind, see :mod:`dreamenv.models.registry`.
        endings: Kinds of endings that the model predicts, see :func:`dreamenv.data.endings.kind_of`.
        ending_rules: The dream's rule for each of them, see :func:`dreamenv.models.heads.decide_ending`.
        ordinary_reward: Reward of a step that ends nothing; kinds of endings are classified by comparison with it.
        success_reward: A terminated episode whose last step paid more than this is a success, in the dream and in
            reality; halfway between an ordinary reward and the least of a better ending. None if none was seen.
        action_prior: Share of each discrete action, or mean action of a Box, in the collected episodes that ended
            well, from which agents start; empty if unknown.
        temperature: The dream's default temperature.
        env_kwargs: Arguments of the real environment.
        wrappers: Its wrappers, see :class:`dreamenv.foundation.recipe.EnvRecipe`.

    Raises:
        SettingsError: If a fact is out of range.
    """

    env_id: str
    frame_shape: tuple[int, int, int]
    action: ActionSpec
    max_episode_steps: int
    model: Any = field(default_factory=MDNRNNConfig)
    endings: tuple[Kind, ...] = ()
    ending_rules: tuple[EndingRule, ...] = ()
    ordinary_reward: float = 0.0
    success_reward: float | None = None
    action_prior: tuple[float, ...] = ()
    temperature: float = 1.0
    env_kwargs: dict[str, JsonValue] = field(default_factory=dict, hash=False)
    wrappers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses facts out of range."""
        if not 0.0 <= self.temperature < float("inf"):
            raise SettingsError(f"expected a temperature: a finite number >= 0; got {self.temperature}")
        if not (0 < min(self.frame_shape) <= max(self.frame_shape) <= 2**14 and self.frame_shape[2] == 3):
            raise SettingsError(f"expected frames (H, W, 3) of up to {2**14:,} pixels a side, got {self.frame_shape}")
        if not 0 < self.max_episode_steps < 2**31:
            raise SettingsError(f"expected max_episode_steps from 1 to {2**31 - 1:,}, got {self.max_episode_steps}")
        if not np.isfinite([self.ordinary_reward, self.success_reward or 0.0]).all():
            raise SettingsError(f"expected finite rewards, got {self.ordinary_reward} and {self.success_reward}")
        if self.action_prior:
            _check_prior(np.asarray(self.action_prior), self.action)
        object.__setattr__(self, "env_kwargs", self.recipe.kwargs)  # in the form that they have in files

    @property
    def recipe(self) -> EnvRecipe:
        """The recipe of the real environment."""
        return EnvRecipe(self.env_id, self.env_kwargs, self.wrappers)


def _check_prior(prior: NDArray, action: ActionSpec) -> None:
    low, high = (np.zeros(action.n), np.ones(action.n)) if action.discrete else (action.low, action.high)
    within = len(prior) == action.size and ((prior >= low) & (prior <= high)).all()
    if not within or (action.discrete and abs(prior.sum() - 1) >= 0.01):
        wanted = "the shares of the actions" if action.discrete else "a mean action"
        raise SettingsError(f"expected {wanted} of {action} as action_prior, got {tuple(prior)}")


def build_model(config: WorldConfig) -> WorldModel:
    """Builds the world model of a world with fresh weights.

    Raises:
        SettingsError: If the sizes are of no registered kind.
    """
    return kind_of_config(config.model).build(config.model, config.action, 1 + len(config.endings))
