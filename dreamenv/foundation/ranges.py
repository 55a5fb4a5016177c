"""Ranges of settings and arguments: declared in annotations, checked when the settings are made."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, get_args, get_type_hints

import numpy as np

from dreamenv.foundation.errors import SettingsError


@dataclass(frozen=True)
class Range:
    """Numbers that a setting or an argument may have.

    Attributes:
        low: The smallest; the largest number below the range if ``without_low``.
        high: The largest; the smallest number above the range if ``without_high``.
        integer: Whether only integers below 2**63 are in range.
        without_low: Whether ``low`` itself is out of range.
        without_high: Whether ``high`` itself is out of range.
        empty: Whether a tuple of such numbers may be empty.
        text: Replaces the setting's name and its bounds in the error.
    """

    low: float = 0
    high: float = math.inf
    integer: bool = False
    without_low: bool = False
    without_high: bool = False
    empty: bool = False
    text: str = ""

    def check(self, name: str, value: Any) -> Any:
        """Returns a value that is in range as a Python number.

        Raises:
            SettingsError: If it is out of range, or not a number.
        """
        if not self._is_number(value) or not self._contains(value):
            raise self.error(name, value, value)
        return int(value) if self.integer else float(value)

    def error(self, name: str, value: Any, given: Any) -> SettingsError:
        """Describes a ``value`` out of range, which is ``given`` or a part of it."""
        if self.text:
            return SettingsError(f"expected {self.text}; got {shown(value)}")
        kind = "an integer below 2**63" if self.integer else "a number"
        wanted = f"{name} {self._bounds}" + ("" if self._is_number(value) else f", {kind}")
        return SettingsError(f"expected {wanted}, got {shown(given)}")

    def allows(self, value: Any) -> bool:
        """Whether a number is in range."""
        return self._is_number(value) and self._contains(value)

    @property
    def _bounds(self) -> str:
        if self.without_low or self.without_high:
            high = "" if self.high == math.inf else f"{self.high:,}{')' if self.without_high else ']'}"
            return f"in [{self.low:,}, {high}" if high else f"above {self.low:,}"
        return f"of at least {self.low:,}" if self.high == math.inf else f"from {self.low:,} to {self.high:,}"

    def _is_number(self, value: Any) -> bool:
        if not self.integer:
            return is_number(value)
        return is_number(value) and isinstance(value, Integral) and value < 2**63

    def _contains(self, value: Any) -> bool:
        above = value > self.low if self.without_low else value >= self.low
        return bool(above and (value < self.high if self.without_high else value <= self.high))


COUNT, SHARE, PART = Range(1, integer=True), Range(0, 1), Range(0, 1, without_high=True)
TEMPERATURE = Range(0, float(np.finfo(np.float32).max), empty=True, text="a temperature: a finite number >= 0")
Count = Annotated[int, COUNT]  # 1, 2, ...
Natural = Annotated[int, Range(0, integer=True)]  # 0, 1, ...
Seed = Annotated[int, Range(0, 2**32 - 1, integer=True)]  # that NumPy's generators accept
Share = Annotated[float, SHARE]
Weight = Annotated[float, Range(0)]
Temperature = Annotated[float, TEMPERATURE]


@dataclass(frozen=True)
class Settings:
    """Base class of settings: an annotation with a :class:`Range` is checked when an instance is made.

    For a tuple, the range holds for every item, and there must be at least one.
    """

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            SettingsError: Names the first setting that is out of range.
        """
        for name, (allowed, optional) in _ranges(type(self)).items():  # type: ignore[arg-type]  # a class is hashable
            value = getattr(self, name)
            if value is None and optional:
                continue
            items = list(value) if isinstance(value, tuple | list | np.ndarray) else [value]
            wrong = [item for item in items if not allowed.allows(item)]
            if wrong or not (items or allowed.empty):
                raise allowed.error(name, next(iter(wrong), 0), value)


@functools.cache
def _ranges(cls: type[Settings]) -> dict[str, tuple[Range, bool]]:
    """The ranges in a class's annotations, and whether None is allowed too."""
    hints = get_type_hints(cls, include_extras=True)
    found = {name: (next(_inside(hint), None), type(None) in get_args(hint)) for name, hint in hints.items()}
    return {name: (allowed, optional) for name, (allowed, optional) in found.items() if allowed is not None}


def _inside(hint: Any) -> Iterator[Range]:
    for metadata in getattr(hint, "__metadata__", ()):
        if isinstance(metadata, Range):
            yield metadata
    for part in get_args(hint):
        yield from _inside(part)


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """Returns a value that is one of the choices.

    Raises:
        SettingsError: If it is another one.
    """
    *first, last = choices
    plain = bool(value) if isinstance(value, np.bool_) else value
    for choice in (*first, last):
        if isinstance(plain, type(choice)) and plain == choice:
            return choice
    raise SettingsError(f"expected {name} {', '.join(map(repr, first))} or {last!r}, got {shown(value)}")


def is_number(value: Any) -> bool:
    """Whether it is a real number of Python or NumPy; neither a bool nor a span of time."""
    return isinstance(value, Real) and not isinstance(value, bool | np.timedelta64)


def shown(value: Any) -> str:
    """Formats a value for an error; only its type if it cannot be printed."""
    try:
        return repr(value)
    except Exception:
        return f"a value of type {type(value).__name__}"
