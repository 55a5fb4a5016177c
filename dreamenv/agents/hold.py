"""Actions held for some steps: the frame skip of Deep Q-Networks (Mnih et al. 2015), as a habit of the agent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Held = tuple[NDArray, NDArray]


def hold(
    decided: NDArray, steps: int | NDArray, held: Held | None, episode_start: NDArray | None
) -> tuple[NDArray, Held]:
    """Goes on with the actions that are still held, and takes those decided now where none is.

    Args:
        decided: (B, ...) actions, for the case that they are needed.
        steps: For how many steps each of them would be held, one number or (B,), from 1.
        held: What the previous call returned: the actions, (B, ...), and for how many more steps, (B,).
        episode_start: (B,) bool, True where an episode begins, whatever was held.

    Returns:
        (B, ...) actions, and what is held now.
    """
    steps = np.broadcast_to(steps, len(decided))
    if held is None:
        return decided, (decided, steps - 1)
    action, left = held
    over = (left == 0) | (False if episode_start is None else episode_start)
    action = np.where(over.reshape(-1, *[1] * (decided.ndim - 1)), decided, action)
    return action, (action, np.where(over, steps, left) - 1)
