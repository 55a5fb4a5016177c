"""How kinds of world models are trained: settings, and who trains by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dreamenv.config import WorldConfig
from dreamenv.data.episodes import Episode
from dreamenv.foundation.errors import SettingsError
from dreamenv.models.base import WorldModel
from dreamenv.models.heads import EndingRule
from dreamenv.models.registry import Build, register_model
from dreamenv.recordings import Recording
from dreamenv.world import World


@dataclass(frozen=True, kw_only=True)
class WorldTraining:
    """What every training of a world is told; the settings of a kind of world model derive from it.

    Attributes:
        branches: Real moments in the middle of an episode that the world keeps, for dreams to branch off.
        temperature: The dream's default temperature.
        ending_rule: How the dream decides on endings that pay no more than an ordinary step: drawn by their
            probability, or, as in World Models, where they are more likely than not (``threshold``). Those that pay
            more are always under ``threshold``.
        seed: Of everything random.
    """

    branches: int = 256
    temperature: float = 1.0
    ending_rule: EndingRule = "sample"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses a world without a moment to branch off from."""
        if self.branches < 1:
            raise SettingsError(f"expected branches >= 1, got {self.branches}")

    @property
    def sizes(self) -> Any:
        """Sizes of the world model, an instance of the class that :func:`register_world_model` was given."""
        raise NotImplementedError


@dataclass(frozen=True)
class TrainingJob:
    """What a world model is trained on.

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
    """What a training returns.

    Attributes:
        model: The world model, on the processor, in evaluation mode.
        recordings: The job's episodes as the model sees them, if the training embedded them anyway.
    """

    model: WorldModel
    recordings: Sequence[Recording] | None = None


Train = Callable[[Any, TrainingJob], Trained]
_TRAININGS: dict[type, Train] = {}


def register_world_model(name: str, *, config: type, build: Build, settings: type[WorldTraining], train: Train) -> None:
    """Makes a kind of world model known to bundles and to :func:`dreamenv.train`.

    Args:
        name: What bundles call it.
        config: Class of its sizes, a frozen dataclass of plain values.
        build: Makes a model with fresh weights, see :class:`dreamenv.models.registry.ModelKind`.
        settings: Class of its training's settings.
        train: Trains a model by such settings; it resumes from the job's folder if it can.

    Raises:
        SettingsError: If the name belongs to another kind.
    """
    register_model(name, config, build)
    _TRAININGS[settings] = train


def trainer_of(settings: WorldTraining) -> Train:
    """Who trains by these settings.

    Raises:
        SettingsError: If their class was not registered.
    """
    if type(settings) not in _TRAININGS:
        known = ", ".join(sorted(kind.__name__ for kind in _TRAININGS))
        raise SettingsError(f"expected settings of a registered kind ({known}), got {type(settings).__name__}")
    return _TRAININGS[type(settings)]
