"""From stored episodes to a saved world: trains the world model, then makes the bank of starts."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import dreamenv.training.presets  # noqa: F401 (registers the RSSM and its presets)
from dreamenv.bundle import load, save, world_id
from dreamenv.config import WorldConfig
from dreamenv.data.endings import Kind, ending_kinds, kind_of, ordinary_reward
from dreamenv.data.episodes import Episode
from dreamenv.data.store import VALIDATION_EVERY, EpisodeStore
from dreamenv.engine.placement import check_device
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.recordings import embed, ending_index, record
from dreamenv.training.kinds import Trained, TrainingJob, WorldTraining, trainer_of
from dreamenv.training.mdnrnn import TrainConfig
from dreamenv.world import World

EPISODES = 64  # followed at once


def train(
    folder: str | Path,
    config: WorldTraining | None = None,
    *,
    episodes: str | Path | None = None,
    source: World | None = None,
    device: str | torch.device = "cpu",
) -> World:
    """Trains a world on the episodes of a folder and saves it there; resumes where an earlier call stopped.

    Args:
        folder: For ``training/`` and the bundle.
        config: Settings; their class determines the kind of world model, V and M if None.
        episodes: The episodes; ``folder/episodes`` if None.
        source: A world whose weights the training starts with; fresh ones if None.
        device: Where to train, ``"cuda"`` for example; the returned world is on the processor.

    Returns:
        The world, as it was saved.

    Raises:
        StoreError: If there are no episodes, or too few to hold any out.
        ResumeError: If ``training/`` belongs to other settings or data.
        DivergenceError: If a loss or a weight is not finite; the last checkpoint stays, see
            :func:`dreamenv.training.fit.fit`.
        SettingsError: If torch has no such device, or the settings are of no registered kind.
    """
    config, folder = config or TrainConfig(), Path(folder)
    check_device(device)
    store = EpisodeStore(episodes or folder / "episodes")
    train_episodes, held_out = store.split()
    _warn_of_unlearned_endings(train_episodes, held_out)
    world_config = world_config_of(store, train_episodes, config)
    identity: list[object] = [store.spec.env_id, *store.shard_names, *([world_id(source)] if source else [])]
    job = TrainingJob(train_episodes, world_config, folder / "training", identity, source, device)
    trained = trainer_of(config)(config, job)
    bank = make_bank(trained, train_episodes, world_config, config.branches)
    save(World(world_config, trained.model, bank), folder)
    return load(folder)


def _warn_of_unlearned_endings(episodes: Sequence[Episode], held_out: Sequence[Episode]) -> None:
    """Warns of kinds of endings that only held-out episodes have, because the world will not have them."""
    ordinary, known = ordinary_reward(episodes), ending_kinds(episodes)
    unlearned = Counter(kind_of(e.terminated, float(e.rewards[-1]), ordinary) for e in held_out)
    for kind in sorted(set(unlearned) - {*known, "continues"}):
        warnings.warn(
            f"M learns from no episode that ended {kind!r}{' (a success)' if kind == 'better' else ''}: all "
            f"{unlearned[kind]} of them are held out to validate on, as is every {VALIDATION_EVERY}th episode. The "
            "dream will not have this ending; collect more episodes, then train anew",
            stacklevel=3,
        )


def world_config_of(store: EpisodeStore, episodes: Sequence[Episode], config: WorldTraining) -> WorldConfig:
    """Reads the facts of a world from the data: time limit, kinds of endings, ordinary reward, action shares."""
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
        model=config.sizes,
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
    """The registered time limit, or the one by which the environment itself truncates earlier.

    Without a registered limit it is the length of the longest episode. Truncation counts as a time limit only if no
    episode is longer than the longest truncated one.
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
    """Actions in the episodes that ended better than an ordinary step.

    Returns:
        Shares of discrete actions, or the mean action of a Box. If no episode ended so, shares are of all episodes, and
        the mean is of the longest tenth of them.
    """
    better = [e for e, kind in zip(episodes, ending_kinds(episodes), strict=True) if kind == "better"]
    if action.discrete:
        actions = np.concatenate([episode.actions for episode in better or episodes])
        return tuple(float(share) for share in np.bincount(actions, minlength=action.n) / len(actions))
    long = np.quantile([len(episode) for episode in episodes], 0.9)
    good = better or [episode for episode in episodes if len(episode) >= long]
    mean = np.concatenate([episode.actions for episode in good]).mean(0, dtype=np.float64)
    return tuple(float(value) for value in np.clip(mean, action.low, action.high))


def make_bank(trained: Trained, episodes: Sequence[Episode], config: WorldConfig, branches: int) -> StartBank:
    """Collects the first frames of all episodes, and the model's states at some later moments.

    If endings pay more than an ordinary step, half of the moments are of episodes with such endings. These are rare in
    exploration, and an agent hardly learns from endings that hardly occur in its dreams.

    Args:
        trained: The world model, and the embedded episodes if there are any.
        episodes: The training episodes.
        config: The kinds of endings.
        branches: Number of moments.

    Returns:
        The bank.
    """
    model, generator = trained.model, np.random.default_rng(0)
    with torch.no_grad():
        posteriors = model.posterior(model.initial(len(episodes)), _first_embeddings(trained, episodes))
    better = config.endings.index("better") + 1 if "better" in config.endings else None
    kinds = [ending_index(episode, config.endings, config.ordinary_reward) for episode in episodes]
    good = [index for index, kind in enumerate(kinds) if kind == better]
    half = branches // 2 if good else 0
    moments = _draw_moments(episodes, range(len(episodes)), branches - half, generator)
    moments += _draw_moments(episodes, good, half, generator)
    return StartBank(posteriors, _states_at(trained, episodes, config, moments))


def _first_embeddings(trained: Trained, episodes: Sequence[Episode]) -> torch.Tensor:
    """What the posteriors of all first frames read, (N, E)."""
    if trained.recordings is not None:
        return torch.stack([recording.embedding[0] for recording in trained.recordings])
    return embed(trained.model, np.stack([episode.observations[0] for episode in episodes]))


def _draw_moments(
    episodes: Sequence[Episode], chosen: Sequence[int], count: int, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """Draws (episode, step) uniformly among the steps of chosen episodes."""
    ends = np.cumsum([len(episodes[index]) for index in chosen])
    drawn = generator.integers(ends[-1], size=count) if count else np.empty(0, int)
    which = np.searchsorted(ends, drawn, side="right")
    return [(chosen[k], int(step - ends[k] + len(episodes[chosen[k]]))) for k, step in zip(which, drawn, strict=True)]


@torch.no_grad()
def _states_at(
    trained: Trained, episodes: Sequence[Episode], config: WorldConfig, moments: Sequence[tuple[int, int]]
) -> State:
    """States of episodes at some of their steps, with drawn z; follows few episodes at once, to bound the memory."""
    model, draws = trained.model, torch.Generator().manual_seed(0)
    found: dict[tuple[int, int], State] = {}
    wanted = sorted({index for index, _ in moments})
    for first in range(0, len(wanted), EPISODES):
        some = wanted[first : first + EPISODES]
        if trained.recordings is None:
            recordings = record(model, [episodes[index] for index in some], config)
        else:
            recordings = [trained.recordings[index] for index in some]
        noise = [Noise.draw(len(one) + 1, model.posterior_noise, draws) for one in recordings]
        followed = model.follow([one.embedding for one in recordings], [one.action for one in recordings], noise)
        own = dict(zip(some, followed, strict=True))
        found |= {(e, step): own[e][0].rows(slice(step, step + 1)) for e, step in moments if e in own}
    return State.cat([found[moment] for moment in moments])
