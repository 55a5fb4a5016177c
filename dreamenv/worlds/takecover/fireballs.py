"""How often fireballs are in sight: a dream in which they are too rare teaches nobody to dodge them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fireball_pixels(frames: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Counts the pixels of fireballs: nothing else in the game is as bright and as yellow.

    Args:
        frames: (N, H, W, 3) uint8.

    Returns:
        (N,).
    """
    red, green, blue = np.moveaxis(frames.astype(np.int64), -1, 0)
    return ((red > 200) & (green > 150) & (red - blue > 40)).sum((1, 2))
