"""From stored episodes to a saved world: V, then M, then the bank of starts."""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from dreamenv.bank import StartBank
from dreamenv.bundle import load, save, world_id
from dreamenv.config import WorldConfig
from dreamenv.endings import Kind, ending_kinds, kind_of, ordinary_reward
from dreamenv.episodes import VALIDATION_EVERY, Episode, EpisodeStore
from dreamenv.errors import SettingsError
from dreamenv.latents import LatentEpisode, draw_latents, encode_episodes
from dreamenv.models.heads import EndingRule
from dreamenv.models.memory import Memory, State, states_after
from dreamenv.spaces import ActionSpec
from dreamenv.training.memory import MemoryTraining, train_memory
from dreamenv.training.vision import VisionTraining, train_vision
from dreamenv.world import World, check_device


@dataclass(frozen=True)
class TrainConfig:
    """How a world is trained.

    Attributes:
        vision: V.
        memory: M.
        branches: Real moments in the middle of an episode that the world keeps, for dreams to branch off.
        temperature: The dream's default temperature.
        ending_rule: How the dream decides on endings that pay no more than an ordinary step: drawn by their
            probability, or, as in World Models, where they are more likely than not (``threshold``). Those that pay
            more are always under ``threshold``.
        seed: Of everything random.
    """

    vision: VisionTraining = field(default_factory=VisionTraining)
    memory: MemoryTraining = field(default_factory=MemoryTraining)
    branches: int = 256
    temperature: float = 1.0
    ending_rule: EndingRule = "sample"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses a world without a moment to branch off from."""
        if self.branches < 1:
            raise SettingsError(f"expected branches >= 1, got {self.branches}")


def train(
    folder: str | Path,
    config: TrainConfig | None = None,
    *,
    episodes: str | Path | None = None,
    source: World | None = None,
    device: str | torch.device = "cpu",
) -> World:
    """Trains a world on the episodes of a folder and saves it there; goes on where an earlier call stopped.

    Args:
        folder: Takes ``training/`` and the bundle.
        config: Settings.
        episodes: The episodes; ``folder/episodes`` if None.
        source: A world whose weights V and M begin with; fresh ones if None.
        device: Where to train, ``"cuda"`` for example; the world that is returned is on the processor.

    Returns:
        The world as it was saved.

    Raises:
        StoreError: If there are no episodes, or too few to hold any out.
        ResumeError: If ``training/`` belongs to other settings or data.
        DivergenceError: If a loss or a weight is not finite; the last checkpoint stays, see
            :func:`dreamenv.training.fit.fit`.
        SettingsError: If there is no such device.
    """
    config, folder = config or TrainConfig(), Path(folder)
    check_device(device)
    store = EpisodeStore(episodes or folder / "episodes")
    train_episodes, held_out = store.split()
    _warn_of_unlearned_endings(train_episodes, held_out)
    world_config = world_config_of(store, train_episodes, config)
    place = folder / "training"
    vision_source, memory_source = (None, None) if source is None else (source.vision, source.memory)
    identity: list[object] = [store.spec.env_id, *store.shard_names, *([world_id(source)] if source else [])]
    vision = train_vision(train_episodes, config.vision, place / "vision", identity, vision_source, config.seed, device)
    latents = encode_episodes(vision, train_episodes, world_config)
    identity = [*identity, dataclasses.asdict(config.vision)]
    memory = train_memory(
        latents,
        world_config,
        config.memory,
        place / "memory",
        identity,
        memory_source,
        config.seed,
        device,
        source_endings=None if source is None else source.config.endings,
    ).cpu()
    endings = world_config.endings
    better = 1 + endings.index("better") if "better" in endings else None
    save(World(world_config, vision, memory, make_bank(memory, latents, better, config.branches)), folder)
    return load(folder)


def _warn_of_unlearned_endings(episodes: Sequence[Episode], held_out: Sequence[Episode]) -> None:
    """Warns of kinds of endings that only held-out episodes have: the world will not have them."""
    ordinary, known = ordinary_reward(episodes), ending_kinds(episodes)
    unlearned = Counter(kind_of(e.terminated, float(e.rewards[-1]), ordinary) for e in held_out)
    for kind in sorted(set(unlearned) - {*known, "continues"}):
        warnings.warn(
            f"M learns from no episode that ended {kind!r}{' (a success)' if kind == 'better' else ''}: all "
            f"{unlearned[kind]} of them are held out to validate on, as is every {VALIDATION_EVERY}th episode. The "
            "dream will not have this ending; collect more episodes, then train anew",
            stacklevel=3,
        )


def world_config_of(store: EpisodeStore, episodes: Sequence[Episode], config: TrainConfig) -> WorldConfig:
    """Reads from the data what a world must know: time limit, kinds of endings, ordinary reward, action shares."""
    order: tuple[Kind, ...] = ("worse", "same", "better")
    kinds = ending_kinds(episodes)
    ordinary = ordinary_reward(episodes)
    better = [float(e.rewards[-1]) for e, kind in zip(episodes, kinds, strict=True) if kind == "better"]
    endings = tuple(kind for kind in order if kind in kinds)
    return WorldConfig(
        env_id=store.spec.env_id,
        frame_shape=store.spec.frame_shape,
        action=store.spec.action,
        max_episode_steps=time_limit(store),
        vision=config.vision.model,
        memory=config.memory.model,
        endings=endings,
        ending_rules=tuple("threshold" if kind == "better" else config.ending_rule for kind in endings),
        ordinary_reward=ordinary,
        success_reward=0.5 * (ordinary + min(better)) if better else None,
        action_prior=action_prior(episodes, store.spec.action),
        temperature=config.temperature,
        env_kwargs=store.spec.env_kwargs,
        wrappers=store.spec.wrappers,
    )


def time_limit(store: EpisodeStore) -> int:
    """The registered time limit, unless episodes show that the environment truncates itself earlier: then theirs.

    Where none is registered, it is the length of the longest episode. Where an episode went on for longer than all
    truncated ones, truncation was no matter of time.
    """
    registered, longest = store.spec.max_episode_steps, int(store.lengths.max())
    if registered is None:
        return longest
    truncated = max((len(episode) for episode in store if episode.truncated), default=0)
    if not truncated == longest < registered:
        return registered
    warnings.warn(
        f"{store.spec.env_id} is registered with max_episode_steps={registered}, but truncates itself: no recorded "
        f"episode is longer than {longest} steps, so this is the time limit of its dreams",
        stacklevel=2,
    )
    return longest


def action_prior(episodes: Sequence[Episode], action: ActionSpec) -> tuple[float, ...]:
    """What acted in the episodes that ended better than an ordinary step.

    Returns:
        Shares of discrete actions, of all episodes if none ended so; or the mean action of a Box, of the longest tenth
        of the episodes if none ended so.
    """
    better = [e for e, kind in zip(episodes, ending_kinds(episodes), strict=True) if kind == "better"]
    if action.discrete:
        actions = np.concatenate([episode.actions for episode in better or episodes])
        return tuple(float(share) for share in np.bincount(actions, minlength=action.n) / len(actions))
    long = np.quantile([len(episode) for episode in episodes], 0.9)
    good = better or [episode for episode in episodes if len(episode) >= long]
    mean = np.concatenate([episode.actions for episode in good]).mean(0, dtype=np.float64)
    return tuple(float(value) for value in np.clip(mean, action.low, action.high))


def make_bank(memory: Memory, episodes: Sequence[LatentEpisode], better: int | None, branches: int) -> StartBank:
    """Keeps the first frames of all episodes, and some moments with the h that real experience gave them.

    Args:
        memory: M.
        episodes: The training episodes.
        better: Index of the kind of ending that half of the moments are to lead up to, if any episode ends so: such
            endings are rare in exploration, and an agent that hardly dreams of one hardly learns.
        branches: Number of moments.

    Returns:
        The bank.
    """
    generator, draws = np.random.default_rng(0), torch.Generator().manual_seed(0)
    good = [episode for episode in episodes if better is not None and int(episode.ending[-1]) == better]
    half = branches // 2 if good else 0
    moments = _draw_moments(episodes, branches - half, generator) + _draw_moments(good, half, generator)
    return StartBank(
        mean=torch.stack([episode.mean[0] for episode in episodes]),
        log_variance=torch.stack([episode.log_variance[0] for episode in episodes]),
        branches=_states_at(memory, moments, draws),
    )


def _draw_moments(
    episodes: Sequence[LatentEpisode], count: int, generator: np.random.Generator
) -> list[tuple[LatentEpisode, int]]:
    """Draws steps of episodes, every step as likely as any other."""
    ends = np.cumsum([len(episode) for episode in episodes])
    drawn = generator.integers(ends[-1], size=count) if count else np.empty(0, int)
    which = np.searchsorted(ends, drawn, side="right")
    return [(episodes[k], int(step - ends[k] + len(episodes[k]))) for k, step in zip(which, drawn, strict=True)]


def _states_at(memory: Memory, moments: Sequence[tuple[LatentEpisode, int]], generator: torch.Generator) -> State:
    """Where episodes stand at some of their steps: a few hundred at a time, which bounds the memory it takes.

    Every moment has draws of its own for all z up to it, as two visits of reality would.
    """
    parts = []
    for first in range(0, len(moments), 256):
        some = moments[first : first + 256]
        z = [draw_latents(episode, generator, step) for episode, step in some]
        action = [episode.action[:step] for episode, step in some]
        parts.append(states_after(memory, z, action))
    return State.cat(parts)
