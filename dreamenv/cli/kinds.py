"""Options of commands that train a world: the settings of the chosen kind of world model."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import tyro

import dreamenv.training.world  # noqa: F401 (registers the package's kinds)
from dreamenv.cli.options import Flat
from dreamenv.foundation.errors import SettingsError
from dreamenv.training.kinds import WorldTraining, kind_names, settings_of


def kind_fields(command: Any, name: str) -> list[tuple[str, Any, Any]]:
    """Returns fields that replace a command's ``kind`` and ``config``.

    Args:
        command: Dataclass whose default ``config`` is the settings of a training, or has them as ``train``.
        name: The kind of world model, or the preset, whose settings the new ``config`` holds.

    Raises:
        SettingsError: If no such kind is registered, or its settings cannot be options.
    """
    settings, nested = settings_of(name), not isinstance(command.config, WorldTraining)
    _check_options(name, settings, set() if nested else {"debug", *command.__dataclass_fields__} - {"config"})
    chosen = settings() if isinstance(settings, type) else settings
    config = dataclasses.replace(command.config, train=chosen) if nested else chosen
    names = tyro.conf.arg(metavar=f"{{{','.join(kind_names())}}}")
    return [
        ("kind", Annotated[str, names], dataclasses.field(default=command.kind)),
        ("config", Annotated[type(config), Flat], dataclasses.field(default_factory=lambda: config)),
    ]


def _check_options(kind: str, settings: type[WorldTraining] | WorldTraining, taken: set[str]) -> None:
    """Checks that every setting has a default, and none the name of an option in ``taken``."""
    for field in dataclasses.fields(settings):
        if field.init and field.default is field.default_factory is dataclasses.MISSING:
            raise SettingsError(f"expected a default for every setting of {kind!r}, got none for {field.name}")
        if field.name in taken:
            raise SettingsError(f"expected another name for the setting {field.name} of {kind!r}: the option is taken")
