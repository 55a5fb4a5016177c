"""Kinds of world models by name: the class of their sizes, and the function that builds a model from these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any

from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.base import WorldModel

Build = Callable[[Any, ActionSpec, int], WorldModel]


@dataclass(frozen=True)
class ModelKind:
    """One kind of world model.

    Attributes:
        name: Its name in bundles.
        config: Class of its sizes, a frozen dataclass of values that JSON can hold; no other kind has the same class.
        build: Builds a model with fresh weights from its sizes, the action space, and the number of ways a step can
            end, "goes on" included. It reads no file and draws from torch's global generator alone. Bundles call it on
            torch's meta device, so every tensor of the model must be a parameter or a persistent buffer.
    """

    name: str
    config: type
    build: Build


_KINDS: dict[str, ModelKind] = {}


def register_model(name: str, config: type, build: Build) -> None:
    """Registers a kind of world model, so that bundles can be loaded; see :class:`ModelKind`.

    A definition that runs again, such as a notebook's cell, replaces the kind that it registered before.

    Raises:
        SettingsError: If the name or the class belongs to another kind, or the class is not a dataclass.
    """
    if not is_dataclass(config):
        raise SettingsError(f"expected a dataclass of sizes for {name!r}, got {config!r}")
    kind = ModelKind(name, config, build)
    known = _KINDS.get(name, kind)
    if not (same_definition(known.config, config) and same_definition(known.build, build)):
        raise SettingsError(f"expected a new name for a kind of world model, got {name!r}, which is taken")
    others = [other.name for other in _KINDS.values() if other.config is config and other.name != name]
    if others:
        raise SettingsError(f"expected sizes of a class of its own for {name!r}, got the class of {others[0]!r}")
    _KINDS[name] = kind


def same_definition(one: Any, other: Any) -> bool:
    """Whether two classes or functions are the same, or come from the same definition that ran again."""
    places = [f"{getattr(it, '__module__', id(it))}.{getattr(it, '__qualname__', '<lambda>')}" for it in (one, other)]
    return one is other or (places[0] == places[1] and "<lambda>" not in places[0])


def model_kind(name: Any) -> ModelKind:
    """Returns the kind of that name; ``name`` may be any JSON value.

    Raises:
        SettingsError: If no such kind is registered; the message lists the registered ones.
    """
    if not isinstance(name, str) or name not in _KINDS:
        raise SettingsError(f"expected a kind of world model among {', '.join(sorted(_KINDS))}, got {name!r}")
    return _KINDS[name]


def kind_of_config(config: object) -> ModelKind:
    """Returns the kind whose class of sizes this is an instance of.

    Raises:
        SettingsError: If there is none.
    """
    for kind in _KINDS.values():
        if type(config) is kind.config:
            return kind
    raise SettingsError(f"expected the sizes of a registered kind of world model, got {type(config).__name__}")
