"""Id, arguments and wrappers of a real environment, as JSON-compatible data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic import JsonValue, TypeAdapter

from dreamenv.foundation.errors import SettingsError

_WORDS: dict[str, JsonValue] = {"True": True, "False": False, "None": None}  # Python's names of JSON's constants
_OMITTED = ("env_kwargs", "wrappers")  # left out of files if empty, because older versions reject new keys


@dataclass(frozen=True)
class EnvRecipe:
    """Everything that is needed to make a real environment.

    Attributes:
        id: A Gymnasium id, ``module:id`` for environments that a module registers on import.
        kwargs: Arguments for ``gymnasium.make``: numbers, strings, booleans, None, lists and dicts of them.
        wrappers: Functions or classes that are called with the environment and return another one, each as
            ``module:name``; the first one is applied first.

    Raises:
        SettingsError: If an argument has another type, or a wrapper another form.
    """

    id: str
    kwargs: dict[str, JsonValue] = field(default_factory=dict, hash=False)
    wrappers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Converts the arguments through JSON, so that they equal those read from a file: tuples become lists."""
        try:
            kwargs = json.loads(json.dumps(self.kwargs, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"expected arguments of {self.id} that JSON can hold, got {self.kwargs}: {error}; register an "
                "environment of your own that makes what they stand for"
            ) from None
        object.__setattr__(self, "kwargs", kwargs)
        for name in self.wrappers:
            if not all(name.partition(":")):
                raise SettingsError(f"expected wrappers as module:name, got {name!r}")

    def __str__(self) -> str:
        """Returns the id, the arguments and the wrappers."""
        kwargs = "".join(f", {name}={value!r}" for name, value in self.kwargs.items())
        return f"{self.id}{kwargs}{''.join(f', wrapped by {name}' for name in self.wrappers)}"


def as_recipe(env: str | EnvRecipe) -> EnvRecipe:
    """Returns a recipe for an id; recipes are returned unchanged."""
    return env if isinstance(env, EnvRecipe) else EnvRecipe(env)


def parse_kwargs(pairs: Sequence[str]) -> dict[str, JsonValue]:
    """Reads arguments of the form ``key=value``; a value that is not JSON is a string.

    Raises:
        SettingsError: If one has another form, or a key occurs twice.
    """
    kwargs: dict[str, JsonValue] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier() or key in kwargs:
            raise SettingsError(f"expected arguments of the environment as key=value, each key once; got {pair!r}")
        kwargs[key] = _parse_value(value)
    return kwargs


def to_plain(facts: Any) -> dict[str, Any]:
    """Converts a dataclass with the fields of a recipe into JSON data, without empty arguments and wrappers."""
    plain: dict[str, Any] = TypeAdapter(type(facts)).dump_python(facts, mode="json")
    return {name: value for name, value in plain.items() if value or name not in _OMITTED}


def _parse_value(text: str) -> JsonValue:
    if text in _WORDS:
        return _WORDS[text]
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text
    return value


def _refuse(constant: str) -> NoReturn:
    """Keeps NaN and infinities, which JSON does not have, as strings."""
    raise ValueError(constant)
