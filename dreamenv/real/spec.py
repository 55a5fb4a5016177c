"""A real environment as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import JsonValue

from dreamenv.foundation.recipe import EnvRecipe
from dreamenv.foundation.spaces import ActionSpec


@dataclass(frozen=True)
class StoreSpec:
    """The facts that all episodes of a store share.

    Attributes:
        env_id: Gymnasium id of the real environment.
        frame_shape: (H, W, 3) of a frame.
        action: The action space.
        max_episode_steps: Its time limit; None if none is registered.
        env_kwargs: Arguments of its constructor.
        wrappers: Names of its wrappers, see :class:`dreamenv.foundation.recipe.EnvRecipe`.
    """

    env_id: str
    frame_shape: tuple[int, int, int]
    action: ActionSpec
    max_episode_steps: int | None = None
    env_kwargs: dict[str, JsonValue] = field(default_factory=dict, hash=False)
    wrappers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the recipe."""
        object.__setattr__(self, "env_kwargs", self.recipe.kwargs)  # normalised as in files

    @property
    def recipe(self) -> EnvRecipe:
        """The recipe of the real environment."""
        return EnvRecipe(self.env_id, self.env_kwargs, self.wrappers)
