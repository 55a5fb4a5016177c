"""Progress bars: updated continuously in a terminal, every half minute in a log."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress(**kwargs: Any) -> tqdm:
    """Makes a ``tqdm`` bar from its keyword arguments; call ``set_postfix(..., refresh=False)`` before ``update``."""
    return tqdm(mininterval=0.2 if sys.stderr.isatty() else 30.0, dynamic_ncols=True, **kwargs)


def advance_to(bar: tqdm, count: int) -> None:
    """Advances a bar to ``count``, to correct for episodes that ended before their time limit."""
    bar.update(max(0, count - bar.n))
