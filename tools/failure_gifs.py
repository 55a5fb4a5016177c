"""Films of real episodes that failed, one per group of dreamenv/evaluate/groups.py, for docs/failures.md.

Run `python tools/failure_gifs.py`. The agent plays the validation seeds greedily, then sampling, until every group has
an episode that failed. A group without one shows its first success.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from PIL import Image

import dreamenv
from dreamenv.config import WorldConfig
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.evaluate.groups import SightLog, groups_of
from dreamenv.evaluate.scores import is_success
from dreamenv.foundation.files import write_bytes
from dreamenv.foundation.progress import progress
from dreamenv.foundation.seeds import VALIDATION_SEED
from dreamenv.world import seen_by

SHOWN = ("lost", "stuck", "hidden")  # the rarest first: an episode is shown for one group only
SCALE, EVERY, FPS, COLOURS, LIMIT = 2, 2, 10, 64, 400_000


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is filmed.

    Attributes:
        world: A folder, or the name of a shipped world.
        agent: A folder, or the name of a shipped agent.
        episodes: Real episodes to look through, in each of the two ways of acting.
        out: Folder for the films.
    """

    world: str = "sidewalk"
    agent: str = "sidewalk/linear"
    episodes: int = 100
    out: Path = Path("docs/images")


@dataclass(frozen=True)
class Film:
    """A real episode: its seed, who acted how, how it went, and (T + 1, H, W, 3) uint8 frames."""

    seed: int
    how: str
    success: bool
    frames: NDArray[np.uint8]


def main(search: Search) -> None:
    """Finds the episodes, writes the films, says what they show."""
    torch.set_num_threads(1)
    films = find(dreamenv.load(search.world), dreamenv.load_agent(search.agent), search.episodes)
    for group in SHOWN:
        if group not in films:
            print(f"{group}: no episode")
            continue
        film, path = films[group], search.out / f"failure_{group}.gif"
        data = encode(film.frames)
        if len(data) > LIMIT:
            raise ValueError(f"expected a film of at most {LIMIT:,} bytes, got {len(data):,} for {path}")
        write_bytes(path, data)
        ending = "success" if film.success else "failure"
        print(f"{path}: seed {film.seed}, {film.how}, {ending} after {len(film.frames) - 1} steps, {len(data):,} bytes")


def find(world: dreamenv.World, agent: dreamenv.Policy, episodes: int) -> dict[str, Film]:
    """A film for every group that has an episode."""
    env = SightLog(make_latent_vector(seen_by(world, agent), 1, AutoresetMode.DISABLED))
    films: dict[str, Film] = {}
    tries = itertools.product(("greedy", "sampling"), range(VALIDATION_SEED, VALIDATION_SEED + episodes))
    for how, seed in progress(iterable=tries, total=2 * episodes, unit="episode", desc="failures"):
        film, groups = play(env, agent, seed, how, world.config)
        wanted = [group for group in SHOWN if group in groups and (group not in films or films[group].success)]
        if film.success:
            films = {**dict.fromkeys(wanted, film), **films}
        elif wanted:
            films[wanted[0]] = film
        if len(films) == len(SHOWN) and not any(film.success for film in films.values()):
            break
    env.close()
    return films


def play(
    env: SightLog, agent: dreamenv.Policy, seed: int, how: str, config: WorldConfig
) -> tuple[Film, tuple[str, ...]]:
    """One real episode and its groups."""
    frames: list[NDArray[np.uint8]] = []

    def keep() -> None:
        pictures = env.render()
        assert pictures is not None
        frames.append(np.split(np.asarray(pictures[0]), 2, axis=1)[0])  # without V's reconstruction

    torch.manual_seed(seed)
    if hasattr(agent, "set_random_seed"):
        agent.set_random_seed(seed)
    (outcome,) = dreamenv.rollout(env, agent, [seed], deterministic=how == "greedy", on_observation=keep)
    tracks = env.take()
    if not tracks:
        raise ValueError("expected an environment that tells where its agent and its target are")
    return Film(seed, how, is_success(outcome, config), np.stack(frames)), groups_of(tracks[0])


def encode(frames: NDArray[np.uint8]) -> bytes:
    """A GIF that stands still for a second at the end; one palette for all frames makes it a third smaller."""
    chosen = [*frames[:-1:EVERY], *[frames[-1]] * FPS]
    pictures = [Image.fromarray(frame.repeat(SCALE, 0).repeat(SCALE, 1)) for frame in chosen]
    palette = Image.fromarray(np.concatenate(list(frames[::EVERY]))).quantize(COLOURS)
    quantised = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    buffer = io.BytesIO()
    quantised[0].save(buffer, "GIF", save_all=True, append_images=quantised[1:], duration=1000 // FPS, loop=0)
    return buffer.getvalue()


if __name__ == "__main__":
    main(tyro.cli(Search))
