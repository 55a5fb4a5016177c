"""Kinds of world models, by name: what their bundles say, and how a model is made of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.base import WorldModel

Build = Callable[[Any, ActionSpec, int], WorldModel]


@dataclass(frozen=True)
class ModelKind:
    """One kind of world model.

    Attributes:
        name: What bundles call it.
        config: Class of its sizes, a frozen dataclass of plain values that survives JSON.
        build: Makes a model with fresh weights from its sizes, the action space, and the number of ways a step can end,
            "goes on" included. It reads no file and draws from torch's global generator alone.
    """

    name: str
    config: type
    build: Build


_KINDS: dict[str, ModelKind] = {}


def register_model(name: str, config: type, build: Build) -> None:
    """Makes a kind of world model known to bundles; see :class:`ModelKind`.

    Raises:
        SettingsError: If the name belongs to another kind.
    """
    kind = ModelKind(name, config, build)
    if _KINDS.setdefault(name, kind) != kind:
        raise SettingsError(f"expected a new name for a kind of world model, got {name!r}, which is taken")


def model_kind(name: str) -> ModelKind:
    """The kind of that name.

    Raises:
        SettingsError: If there is none; names those that there are.
    """
    if name not in _KINDS:
        raise SettingsError(f"expected a kind of world model among {', '.join(sorted(_KINDS))}, got {name!r}")
    return _KINDS[name]


def kind_of_config(config: object) -> ModelKind:
    """The kind whose sizes these are.

    Raises:
        SettingsError: If no kind has such sizes.
    """
    for kind in _KINDS.values():
        if type(config) is kind.config:
            return kind
    raise SettingsError(f"expected the sizes of a registered kind of world model, got {type(config).__name__}")
