"""Training of an MDN-RNN: V on frames, then M on their embeddings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from dreamenv.foundation.errors import SettingsError
from dreamenv.models.mdnrnn.model import MDNRNN, MDNRNNConfig, build_mdnrnn
from dreamenv.recordings import record
from dreamenv.training.kinds import Trained, TrainingJob, WorldTraining, register_world_model
from dreamenv.training.memory import MemoryTraining, train_memory
from dreamenv.training.vision import VisionTraining, train_vision


@dataclass(frozen=True)
class TrainConfig(WorldTraining):
    """How V and M are trained; adds to the settings of :class:`dreamenv.training.kinds.WorldTraining`.

    Attributes:
        vision: Training of V.
        memory: Training of M.
    """

    vision: VisionTraining = field(default_factory=VisionTraining)
    memory: MemoryTraining = field(default_factory=MemoryTraining)

    @property
    def sizes(self) -> MDNRNNConfig:
        """Sizes of V and M."""
        return MDNRNNConfig(self.vision.model, self.memory.model)


def train_mdnrnn(settings: TrainConfig, job: TrainingJob) -> Trained:
    """Trains V, embeds the episodes, trains M on them; see :class:`dreamenv.training.kinds.TrainingJob`.

    Raises:
        SettingsError: If the job's source is of another kind.
    """
    source = None if job.source is None else job.source.model
    if not (source is None or isinstance(source, MDNRNN)):
        raise SettingsError(f"expected a source of V and M, got a {type(source).__name__}")
    vision = train_vision(
        job.episodes,
        settings.vision,
        job.folder / "vision",
        job.identity,
        None if source is None else source.vision,
        settings.seed,
        job.device,
    )
    config = job.config
    fresh = build_mdnrnn(config.model, config.action, 1 + len(config.endings))
    recordings = record(MDNRNN(vision, fresh.memory), job.episodes, config)
    memory = train_memory(
        recordings,
        config,
        settings.memory,
        job.folder / "memory",
        [*job.identity, dataclasses.asdict(settings.vision)],
        None if source is None else source.memory,
        settings.seed,
        job.device,
        source_endings=None if job.source is None else job.source.config.endings,
    )
    return Trained(MDNRNN(vision.cpu(), memory.cpu()).eval(), recordings)


register_world_model("mdnrnn", config=MDNRNNConfig, build=build_mdnrnn, settings=TrainConfig, train=train_mdnrnn)
