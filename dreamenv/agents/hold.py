"""Actions that an agent repeats for some steps: the frame skip of Deep Q-Networks (Mnih et al. 2015)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HeldActions = tuple[NDArray, NDArray]


def hold(
    decided: NDArray, steps: int | NDArray, held: HeldActions | None, episode_start: NDArray | None
) -> tuple[NDArray, HeldActions]:
    """Repeats held actions; uses the new decision where none is held.

    Args:
        decided: (B, ...) actions, the new decisions.
        steps: Number of steps for which a new decision is held, from 1: one number or (B,).
        held: The second return value of the previous call: (B, ...) actions and (B,) remaining steps; None at first.
        episode_start: (B,) bool, True where an episode begins; no action is held there.

    Returns:
        (B, ...) actions, and the held actions with their remaining steps.
    """
    steps = np.broadcast_to(steps, len(decided))
    if held is None:
        return decided, (decided, steps - 1)
    action, left = held
    over = (left == 0) | (False if episode_start is None else episode_start)
    action = np.where(over.reshape(-1, *[1] * (decided.ndim - 1)), decided, action)
    return action, (action, np.where(over, steps, left) - 1)
