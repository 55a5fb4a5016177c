"""An agent that acts on parts of the observations that an examination needs."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dreamenv.models.view import Input
from dreamenv.rollouts import Policy
from dreamenv.world import World, seen_by, showing


class PartialSight:
    """Acts as an agent that sees some parts of the observations only, in any order.

    Args:
        world: Its observations have all parts that the agent sees.
        agent: The agent.
        inputs: What it sees.
    """

    def __init__(self, world: World, agent: Policy, inputs: tuple[Input, ...]) -> None:
        self._agent = agent
        sizes = world.view.sizes(world.model)
        ends = dict(zip(world.view.inputs, accumulate(sizes), strict=True))
        lengths = dict(zip(world.view.inputs, sizes, strict=True))
        self._columns = np.concatenate([np.arange(ends[name] - lengths[name], ends[name]) for name in inputs])

    def predict(
        self, observation: NDArray, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray, Any]:
        """Chooses actions for (B, F) observations of the world; see :class:`dreamenv.rollouts.Policy`."""
        return self._agent.predict(np.take(observation, self._columns, -1), state, episode_start, deterministic)

    def set_random_seed(self, seed: int) -> None:
        """Seeds the draws of the agent, if it has draws of its own."""
        if hasattr(self._agent, "set_random_seed"):
            self._agent.set_random_seed(seed)


def with_z_and_h(world: World, agent: Policy) -> tuple[World, Policy]:
    """Returns the world whose observations begin with z and h, followed by what else the agent sees, and the agent."""
    inputs = seen_by(world, agent).view.inputs
    extra = [name for name in inputs if name not in ("z", "h")]
    whole = showing(world, ("z", "h", *extra))
    return whole, agent if whole.view.inputs == inputs else PartialSight(whole, agent, inputs)
