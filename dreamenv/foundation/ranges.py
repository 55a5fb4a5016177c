"""Settings within their ranges, checked before hours are spent on them."""

from __future__ import annotations

import numpy as np

from dreamenv.foundation.errors import SettingsError


def check_range(settings: object, low: float, high: float, *names: str) -> None:
    """Refuses numbers out of range.

    Args:
        settings: Has the numbers as attributes; of a tuple every one counts, and there has to be one.
        low: The smallest that is allowed.
        high: The largest.
        names: Of the attributes.

    Raises:
        SettingsError: Names the first that is out of range, or not a number.
    """
    for name in names:
        values = np.atleast_1d(getattr(settings, name))
        if not (values.size and ((values >= low) & (values <= high)).all()):
            bounds = f"of at least {low:g}" if high == np.inf else f"from {low:g} to {high:g}"
            raise SettingsError(f"expected {name} {bounds}, got {getattr(settings, name)}")


def check_seeds(settings: object, *names: str) -> None:
    """Refuses seeds that NumPy's generators do not take.

    Args:
        settings: Has the seeds as attributes.
        names: Of the attributes.

    Raises:
        SettingsError: Names the first that is out of range.
    """
    for name in names:
        if not 0 <= getattr(settings, name) < 2**32:
            raise SettingsError(f"expected {name} from 0 to {2**32 - 1:,}, got {getattr(settings, name)}")
