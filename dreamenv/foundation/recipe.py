"""How a real environment is made, as plain data that survives JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic import JsonValue, TypeAdapter

from dreamenv.foundation.errors import SettingsError

_WORDS: dict[str, JsonValue] = {"True": True, "False": False, "None": None}  # Python's spelling of JSON's words
_OMITTED = ("env_kwargs", "wrappers")  # from files, where they are empty: other versions of dreamenv refuse new keys


@dataclass(frozen=True)
class EnvRecipe:
    """What it takes to make a real environment.

    Attributes:
        id: A Gymnasium id, ``module:id`` for environments that a module registers on import.
        kwargs: Arguments for ``gymnasium.make``: numbers, strings, booleans, None, lists and dicts of them.
        wrappers: Functions or classes that take the environment and return another one, each as ``module:name``; the
            first one is applied first.

    Raises:
        SettingsError: If an argument is something else, or a wrapper is not written like this.
    """

    id: str
    kwargs: dict[str, JsonValue] = field(default_factory=dict, hash=False)
    wrappers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Brings the arguments into the form that they have after a file was read: tuples become lists."""
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
        """The id, and what was asked for besides it."""
        kwargs = "".join(f", {name}={value!r}" for name, value in self.kwargs.items())
        return f"{self.id}{kwargs}{''.join(f', wrapped by {name}' for name in self.wrappers)}"


def as_recipe(env: str | EnvRecipe) -> EnvRecipe:
    """The recipe itself, or the one of an id alone."""
    return env if isinstance(env, EnvRecipe) else EnvRecipe(env)


def parse_kwargs(pairs: Sequence[str]) -> dict[str, JsonValue]:
    """Reads arguments as the command line has them: ``key=value``, where a value that is not JSON is a string.

    Raises:
        SettingsError: If one is not written like this, or a key comes twice.
    """
    kwargs: dict[str, JsonValue] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier() or key in kwargs:
            raise SettingsError(f"expected arguments of the environment as key=value, each key once; got {pair!r}")
        kwargs[key] = _parse_value(value)
    return kwargs


def to_plain(facts: Any) -> dict[str, Any]:
    """Turns a dataclass that says how an environment is made into JSON, without empty arguments and wrappers."""
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
    """NaN and infinities, which JSON does not have, stay strings."""
    raise ValueError(constant)
