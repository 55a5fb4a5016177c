"""Registry of trainings: a kind's name leads to the class of its settings, this to the function that trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from dreamenv.config import WorldConfig
from dreamenv.data.episodes import Episode
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import Count, Settings, Temperature
from dreamenv.models.base import WorldModel
from dreamenv.models.heads import EndingRule
from dreamenv.models.registry import Build, register_model, same_definition
from dreamenv.recordings import Recording
from dreamenv.world import World


@dataclass(frozen=True, kw_only=True)
class WorldTraining(Settings):
    """Settings of every training of a world; those of a kind of world model are a subclass.

    Attributes:
        branches: Number of real moments in the middle of an episode that the world keeps as starts of dreams.
        temperature: The dream's default temperature.
        ending_rule: Rule for endings that pay no more than an ordinary step: ``sample`` draws them by their
            probability, ``threshold`` ends an episode where they are more likely than not, as World Models does.
            Endings that pay more always follow ``threshold``.
        seed: Of everything random.

    Raises:
        SettingsError: If ``branches`` or ``temperature`` is out of range.
    """

    branches: Count = 256
    temperature: Temperature = 1.0
    ending_rule: EndingRule = "sample"
    seed: int = 0

    @property
    def sizes(self) -> Any:
        """Sizes of the world model, an instance of ``config`` of :func:`register_world_model`; subclasses return it."""
        raise NotImplementedError

    def later(self) -> Self:
        """Settings of a training that begins with the weights of an earlier world; the same unless overridden."""
        return self


@dataclass(frozen=True)
class TrainingJob:
    """Data, place and device of one training.

    Attributes:
        episodes: Training episodes.
        config: Facts of the real environment, and the model's sizes.
        folder: For checkpoints and TensorBoard.
        identity: JSON-able description of the data and of ``source``: a checkpoint of another one is refused.
        source: A world whose weights the training begins with; fresh ones if None.
        device: Where to train.
    """

    episodes: Sequence[Episode]
    config: WorldConfig
    folder: Path
    identity: Sequence[object]
    source: World | None = None
    device: str | torch.device = "cpu"


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        model: The world model, on the processor, in evaluation mode.
        recordings: The job's episodes, embedded by the model; None if the training did not embed them.
    """

    model: WorldModel
    recordings: Sequence[Recording] | None = None


Train = Callable[[Any, TrainingJob], Trained]
_TRAININGS: dict[type, Train] = {}
_SETTINGS: dict[str, type[WorldTraining] | WorldTraining] = {}  # the latest of each name


def register_world_model(name: str, *, config: type, build: Build, settings: type[WorldTraining], train: Train) -> None:
    """Registers a kind of world model for bundles, :func:`dreamenv.train` and the option ``--kind``.

    A definition that runs again, such as a notebook's cell, replaces the kind that it registered before.

    Args:
        name: Its name in bundles.
        config: Class of its sizes, see :class:`dreamenv.models.registry.ModelKind`.
        build: Builds a model with fresh weights, likewise.
        settings: Class of its training's settings; the option ``--kind`` needs a default for each of them.
        train: Trains a model with such settings; it should resume from what an earlier call left in the job's folder.

    Raises:
        SettingsError: If the name or a class belongs to another kind, or the settings are no :class:`WorldTraining`.
    """
    if not (isinstance(settings, type) and issubclass(settings, WorldTraining)):
        raise SettingsError(f"expected a subclass of WorldTraining as settings, got {settings!r}")
    if not same_definition(_TRAININGS.get(settings, train), train):
        raise SettingsError(f"expected settings of a class of its own for {name!r}, got {settings.__name__}")
    register_model(name, config, build)
    _TRAININGS[settings] = train
    _SETTINGS[name] = settings


def register_preset(name: str, settings: WorldTraining) -> None:
    """Registers settings of a registered kind under a name of their own, for the option ``--kind``.

    Raises:
        SettingsError: If their kind is not registered, or a kind has this name.
    """
    trainer_of(settings)
    if isinstance(_SETTINGS.get(name), type):
        raise SettingsError(f"expected a name that no kind of world model has, got {name!r}")
    _SETTINGS[name] = settings


def kind_names() -> list[str]:
    """Names of the registered kinds and presets, sorted."""
    return sorted(_SETTINGS)


def settings_of(name: str) -> type[WorldTraining] | WorldTraining:
    """Returns the class of settings of the kind of that name, or the settings of the preset.

    Raises:
        SettingsError: If there is none; the message lists the registered ones.
    """
    if name not in _SETTINGS:
        known = ", ".join(kind_names())
        raise SettingsError(f"expected a kind of world model among {known}, got {name!r}; import its module first")
    return _SETTINGS[name]


def trainer_of(settings: WorldTraining) -> Train:
    """Returns the function that trains with these settings.

    Raises:
        SettingsError: If their class is not registered.
    """
    if type(settings) not in _TRAININGS:
        known = ", ".join(sorted(kind.__name__ for kind in _TRAININGS))
        raise SettingsError(f"expected settings of a registered kind ({known}), got {type(settings).__name__}")
    return _TRAININGS[type(settings)]
