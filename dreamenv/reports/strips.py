"""Film strips: real frames, and frames dreamed from the same moment with the same actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dreamenv.data.episodes import Episode
from dreamenv.foundation.errors import SettingsError
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.recordings import record
from dreamenv.world import Trace, World


@dataclass(frozen=True, eq=False)
class FilmStrip:
    """A dream beside the real episode it branches off from.

    Attributes:
        seed: Of the real episode.
        kind: How that ended, or ``"continues"`` if it ran out of time.
        start: Step of the episode at which the dream begins.
        horizons: Steps dreamed, from 0, for each of the N columns.
        real: Frames that came, (N, H, W, 3) uint8.
        seen: The same frames, decoded from the posteriors' modes: the best a dream can look.
        dreamed: Frames of the dream.
        dream_end: Steps after which the dream would have ended, and how; None if it went on.
    """

    seed: int
    kind: str
    start: int
    horizons: tuple[int, ...]
    real: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    dreamed: NDArray[np.uint8]
    dream_end: tuple[int, str] | None


def representative_episodes(episodes: Sequence[Trace], horizons: Sequence[int], kinds: int) -> list[int]:
    """Chooses one episode per kind of ending: of those with room for most horizons, the one of median length.

    Args:
        episodes: To choose from.
        horizons: Steps dreamed.
        kinds: Ways an episode can end, running out of time included.

    Returns:
        Indices, in the order of the kinds; kinds without an episode of two steps have none.
    """
    chosen = []
    for kind in range(kinds):
        candidates = [
            i for i, e in enumerate(episodes) if int(e.recording.ending[-1]) == kind and room(len(e), horizons)
        ]
        most = max((len(room(len(episodes[i]), horizons)) for i in candidates), default=0)
        widest = sorted((len(episodes[i]), i) for i in candidates if len(room(len(episodes[i]), horizons)) == most)
        chosen += [widest[len(widest) // 2][1]] if widest else []
    return chosen


def room(length: int, horizons: Sequence[int]) -> tuple[int, ...]:
    """The horizons that leave at least one real step before the dream in an episode of ``length`` steps."""
    return tuple(sorted(horizon for horizon in horizons if horizon < length))


@torch.inference_mode()
def film_strip(world: World, episode: Episode, kind: str, horizons: Sequence[int], seed: int) -> FilmStrip:
    """Dreams the last steps of a real episode with the actions that were taken, at temperature 1.

    Args:
        world: The world.
        episode: Replayed up to the longest horizon before its end, where the dream begins.
        kind: How it ended.
        horizons: Steps dreamed; those longer than the episode are left out.
        seed: Of the dream's noise.

    Returns:
        The strip, beginning with the last frame that the dream was given.

    Raises:
        SettingsError: If no horizon is shorter than the episode.
    """
    shown = room(len(episode), horizons)
    if not shown:
        raise SettingsError(f"expected an episode longer than one of the horizons {tuple(horizons)}, got {episode}")
    start = len(episode) - shown[-1]
    frames, actions = torch.from_numpy(episode.observations), torch.from_numpy(episode.actions)
    generator = torch.Generator().manual_seed(seed)
    state, end = world.replay(frames[: start + 1], actions[:start]), None
    states = [state]
    for step in range(1, shown[-1] + 1):
        noise = Noise.draw(1, world.model.prior_noise, generator)
        state, transition = world.imagine(state, actions[start + step - 1][None], 1.0, noise)
        if end is None and bool(transition.terminated):
            end = (step, str(world.config.endings[int(transition.ending) - 1]))
        states += [state] if step in shown else []
    moments = torch.tensor([start, *(start + horizon for horizon in shown)])
    (followed,) = world.follow(record(world.model, [episode], world.config), seed=None)
    return FilmStrip(
        seed=episode.seed,
        kind=kind,
        start=start,
        horizons=(0, *shown),
        real=frames[moments].numpy(),
        seen=world.decode(followed.states.rows(moments)),
        dreamed=world.decode(State.cat(states)),
        dream_end=end,
    )
