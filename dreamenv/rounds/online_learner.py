"""What learns online: an RSSM, with actor and critic if they are the behaviour. Its state is on disk between calls."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from dreamenv.agents.actor_critic.learning import Learner
from dreamenv.agents.actor_critic.networks import ActorCritic, Trainee, begin_at_prior
from dreamenv.bundle import CONFIG, dump_world_config, parse_world_config
from dreamenv.config import WorldConfig
from dreamenv.data.store import EpisodeStore
from dreamenv.engine.placement import on_device
from dreamenv.foundation.files import write_json
from dreamenv.foundation.seeds import SEEDING, spawn_short
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.rssm.model import RSSM, build_rssm
from dreamenv.recordings import record
from dreamenv.rounds.online_config import DreamerConfig, OnlineConfig
from dreamenv.training.checkpoint import checkpoints
from dreamenv.training.fit import FitConfig, Metrics, fit
from dreamenv.training.frames import colour_table, frames_of
from dreamenv.training.kinds import Trained
from dreamenv.training.rssm import RSSMTraining
from dreamenv.training.rssm_sequences import Carried, Pictures, Sequences
from dreamenv.training.streams import Chunk
from dreamenv.training.warm import warm_start_heads
from dreamenv.training.world import make_bank, world_config_of
from dreamenv.world import World, showing


@dataclass(frozen=True, eq=False)
class _Stage:
    """Updates with the same kinds of endings.

    Attributes:
        folder: Takes the facts, checkpoints, TensorBoard's event files.
        facts: Facts of the world, from the data at the beginning of the stage.
        model: The world model.
        trainee: Actor and critic; None if the behaviour does not learn.
        whole: Both, and the state that is carried along the sequences.
    """

    folder: Path
    facts: WorldConfig
    model: RSSM
    trainee: Trainee | None
    whole: Carried


class OnlineLearner:
    """Model and behaviour of an online run; goes on from what an earlier process left in the folder.

    A new kind of ending in the data adds a row to the model's heads. A new stage begins then: weights stay, and the
    optimizer starts anew.

    Args:
        folder: Takes a folder for each stage, named by the number of updates before it.
        config: Settings.
        device: Where to train and to act.

    Raises:
        ResumeError: If the folder holds a run with other settings.
    """

    def __init__(self, folder: Path, config: OnlineConfig, device: str | torch.device = "cpu") -> None:
        self._folder, self._config, self._device = folder, config, device
        self._settings = RSSMTraining(model=config.model, temperature=config.temperature)
        self._stage: _Stage | None = None
        begun = [path for path in sorted(folder.glob("online-*")) if checkpoints(path)]
        if begun:
            path = begun[-1] / CONFIG
            self._stage = self._make(begun[-1], parse_world_config(path.read_bytes(), path))
            self._fit(self.updates, None)

    @property
    def updates(self) -> int:
        """Updates done, in this and earlier processes."""
        stage = self._stage
        return int(checkpoints(stage.folder)[0].stem.split("-")[1]) if stage and checkpoints(stage.folder) else 0

    @property
    def world(self) -> World:
        """The world as it is now, without moments to start dreams from."""
        assert self._stage is not None
        return _without_bank(self._stage.facts, self._stage.model)

    @property
    def actor_critic(self) -> ActorCritic | None:
        """Actor and critic as they are now."""
        assert self._stage is not None
        return None if self._stage.trainee is None else self._stage.trainee.agent

    def learn(self, store: EpisodeStore, begin: int, end: int) -> None:
        """Does the updates from number ``begin`` to ``end`` on the training episodes of a store, or what is left.

        Raises:
            DivergenceError: If the loss, its gradient or a weight is not finite; the last checkpoint stays.
        """
        facts = world_config_of(store, store.training, self._settings)
        if self._stage is None or set(facts.endings) - set(self._stage.facts.endings):
            self._stage = self._begin_stage(facts, begin)
        self._fit(end, _Updates(self._stage, store, self._config, begin, end))

    def complete_world(self, store: EpisodeStore) -> World:
        """The world as it is now, with moments of the training episodes to start dreams from, on the processor."""
        stage = self._stage
        assert stage is not None
        facts = world_config_of(store, store.training, self._settings)
        facts = replace(facts, endings=stage.facts.endings, ending_rules=stage.facts.ending_rules)
        bank = make_bank(Trained(stage.model), store.training, facts, self._config.branches)
        return on_device(World(facts, stage.model, bank), "cpu")

    def _begin_stage(self, facts: WorldConfig, updates: int) -> _Stage:
        """Builds the parts of a stage, with the weights of the one before."""
        before, folder = self._stage, self._folder / f"online-{updates:08d}"
        write_json(folder / CONFIG, dump_world_config(facts))
        stage = self._make(folder, facts)
        if before is not None:
            warm_start_heads(stage.model, before.model, facts.endings, before.facts.endings)
            if stage.trainee is not None and before.trainee is not None:
                stage.trainee.load_state_dict(before.trainee.state_dict())
        return stage

    def _make(self, folder: Path, facts: WorldConfig) -> _Stage:
        """Builds the parts of a stage, with fresh weights."""
        config = self._config
        with torch.random.fork_rng():
            torch.manual_seed(spawn_short(config.seed, "online", 0))
            model = build_rssm(facts.model, facts.action, 1 + len(facts.endings))
            parts: dict[str, nn.Module] = {"world": model}
            trainee = None
            if isinstance(config, DreamerConfig):
                own = config.actor_critic
                size = showing(_without_bank(facts, model), own.inputs).feature_size
                agent = ActorCritic(size, facts.action, own.net_arch, own.box, own.value_unit)
                begin_at_prior(agent, facts, own.initial_deviation)
                parts["behaviour"] = trainee = Trainee(agent)
        whole = Carried(nn.ModuleDict(parts), model, config.joint.batch_size).to(self._device)
        return _Stage(folder, facts, model, trainee, whole)

    def _fit(self, end: int, data: _Updates | None) -> None:
        """Trains until there are ``end`` updates; restores the newest checkpoint, if there is one."""
        stage, config = self._stage, self._config
        assert stage is not None

        def loss(step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
            assert data is not None
            return data.loss(step, generator)

        parts: list[tuple[nn.Module, FitConfig]] = [(stage.model, config.joint.fit)]
        if stage.trainee is not None and isinstance(config, DreamerConfig):
            own = config.actor_critic
            for part, rate in (("actor", own.actor_learning_rate), ("critic", own.critic_learning_rate)):
                settings = replace(config.joint.fit, learning_rate=rate, gradient_clip=own.gradient_clip)
                parts.append((getattr(stage.trainee.agent, part), replace(settings, weight_decay=0.0)))
        identity = [stage.facts.env_id, SEEDING, dataclasses.asdict(replace(config, rounds=0, target=0.0))]
        seed, begin = spawn_short(config.seed, "online", 1), int(stage.folder.name.removeprefix("online-"))
        fit(stage.whole, loss, config.joint.fit, stage.folder, identity, seed, parts, (begin, end))


class _Updates:
    """The loss of the updates from ``begin`` to ``end``.

    Args:
        stage: What learns.
        store: The episodes.
        config: Settings.
        begin: Number of the first update; the streams of episodes begin there.
        end: Number behind the last.
    """

    def __init__(self, stage: _Stage, store: EpisodeStore, config: OnlineConfig, begin: int, end: int) -> None:
        self._stage, self._begin, model = stage, begin, stage.model
        frames = frames_of(store.training, model.config.frame_shape[:2])
        clip = RSSMTraining.colour_weights if config.rare_colours else None
        pictures = Pictures(frames, colour_table(frames, clip, config.seed).to(model.device))
        recordings = record(None, store.training, stage.facts)
        seed = spawn_short(config.seed, "online", 2, begin)
        self._sequences = Sequences(
            model, stage.facts, recordings, pictures, config.joint, end - begin, seed, anywhere=True
        )
        self._count, self._behaviour = 0, None
        if stage.trainee is not None and isinstance(config, DreamerConfig):
            seen = showing(_without_bank(stage.facts, model), config.actor_critic.inputs)
            self._count = config.actor_critic.num_envs
            self._behaviour = Learner(seen, stage.trainee, config.actor_critic)

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The loss of the model, plus that of actor and critic; no gradient of the latter reaches the model."""
        whole = self._stage.whole
        if step == self._begin:
            whole.forget()
        chunk = self._sequences.chunk(step - self._begin)
        value, metrics, z, h = self._sequences.loss(chunk, whole, generator)
        if self._behaviour is None:
            return value, metrics
        start = _starts(self._stage.model, chunk, z, h, self._count, generator)
        with torch.autocast(z.device.type, enabled=False):
            more, others = self._behaviour.loss(start, step, generator)
        return value + more, metrics | others


def _starts(model: RSSM, chunk: Chunk, z: Tensor, h: Tensor, count: int, generator: torch.Generator) -> State:
    """States at up to ``count`` moments of a chunk, drawn among those at which no episode has ended."""
    state = replace(model.initial(z.shape[0] * z.shape[1]), step=chunk.step.flatten())
    state = replace(state, z=z.float().flatten(0, 1), h=h.float().flatten(0, 1))
    going = torch.nonzero(chunk.ending.flatten() == 0).flatten()
    return state.rows(going[torch.randperm(len(going), generator=generator)[:count].to(going.device)])


def _without_bank(facts: WorldConfig, model: RSSM) -> World:
    """A world that real episodes can be followed with; a dream of it would begin nowhere real."""
    with torch.no_grad():
        first = model.posterior(model.initial(1), torch.zeros(1, model.encoder.size, device=model.device))
    return World(facts, model, StartBank(first, model.initial(0)))
