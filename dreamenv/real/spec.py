"""What a world has to know of a real environment, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import JsonValue

from dreamenv.foundation.recipe import EnvRecipe
from dreamenv.foundation.spaces import ActionSpec


@dataclass(frozen=True)
class StoreSpec:
    """What every episode of a store has in common.

    Attributes:
        env_id: Gymnasium id of the real environment.
        frame_shape: (H, W, 3) of a frame.
        action: The action space.
        max_episode_steps: Its time limit; None where none is registered, so that only episodes can tell.
        env_kwargs: Arguments with which it is made.
        wrappers: What wraps it, see :class:`dreamenv.foundation.recipe.EnvRecipe`.
    """

    env_id: str
    frame_shape: tuple[int, int, int]
    action: ActionSpec
    max_episode_steps: int | None = None
    env_kwargs: dict[str, JsonValue] = field(default_factory=dict, hash=False)
    wrappers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses what no environment is made with."""
        object.__setattr__(self, "env_kwargs", self.recipe.kwargs)  # in the form that they have in files

    @property
    def recipe(self) -> EnvRecipe:
        """How the real environment is made."""
        return EnvRecipe(self.env_id, self.env_kwargs, self.wrappers)
