"""Kinds of agents by name: each has a reader of its files and, if it is trained in dreams, settings and a training."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from dreamenv.agents.store import AgentConfig
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import Settings
from dreamenv.rollouts import Policy
from dreamenv.world import World

Read = Callable[[AgentConfig, dict[str, Tensor]], Policy]
Train = Callable[[World, Path, Any, Policy | None], Policy]


@dataclass(frozen=True)
class AgentKind:
    """One kind of agent.

    Attributes:
        name: The ``kind`` in the agent's config.json.
        read: Builds the agent from its config and tensors.
        settings: Class of the training's settings, with a field ``seed``; None for agents that are not made in a
            world.
        train: Trains an agent in a world, saves it in a folder and returns it. Arguments: world, folder, settings, and
            an agent to begin with or None.
    """

    name: str
    read: Read
    settings: type[Settings] | None = None
    train: Train | None = None


_KINDS: dict[str, AgentKind] = {}
_BUILT_IN = {  # modules that register the kinds of the package; imported at first use
    "actor-critic": "dreamenv.agents.actor_critic.train",
    "linear": "dreamenv.agents.evolve",
    "planner": "dreamenv.agents.planner",
    "sb3": "dreamenv.agents.ppo",
    "vote": "dreamenv.agents.vote",
}


def register_agent(
    name: str, *, read: Read, settings: type[Settings] | None = None, train: Train | None = None
) -> None:
    """Adds a kind of agent, for :func:`dreamenv.load_agent` and :func:`dreamenv.iterate`; see :class:`AgentKind`.

    Raises:
        SettingsError: If another kind has the name, or if only one of ``settings`` and ``train`` is given.
    """
    if (settings is None) != (train is None):
        raise SettingsError(f"expected settings and train together, got {settings} and {train}")
    _load_built_in(name)
    kind = AgentKind(name, read, settings, train)
    if _KINDS.setdefault(name, kind) != kind:
        raise SettingsError(f"expected a new name for a kind of agent, got {name!r}, which is taken")


def _load_built_in(name: str) -> None:
    if name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])


def agent_kind(name: str) -> AgentKind:
    """Returns the kind of that name.

    Raises:
        SettingsError: If no such kind is registered; lists the registered names.
    """
    _load_built_in(name)
    if name not in _KINDS:
        known = ", ".join(sorted({*_BUILT_IN, *_KINDS}))
        raise SettingsError(f"expected a kind of agent among {known}, got {name!r}")
    return _KINDS[name]


def kind_of_settings(settings: object) -> AgentKind:
    """Returns the kind that is trained by these settings.

    Raises:
        SettingsError: If their class is not registered.
    """
    for name in _BUILT_IN:
        _load_built_in(name)
    for kind in _KINDS.values():
        if kind.settings is type(settings):
            return kind
    raise SettingsError(f"expected settings of a registered kind of agent, got {type(settings).__name__}")


def train_agent(world: World, folder: Path, settings: Settings, source: Policy | None = None) -> Policy:
    """Trains an agent in a world's dream, by the training of its settings' kind.

    Args:
        world: The world to dream in.
        folder: Takes the agent and its checkpoints.
        settings: Settings of a registered kind.
        source: An agent of that kind to begin with; kinds that cannot begin with one ignore it.

    Raises:
        SettingsError: If the settings' class is not registered.
    """
    train = kind_of_settings(settings).train
    assert train is not None  # a kind with settings has a training
    return train(world, folder, settings, source)
