"""Are fireballs born in dreams of DoomTakeCover, and do they last? Dreams that branch off recorded episodes.

From moments of held-out episodes on, worlds dream under the actions that were really taken. Where the moment shows a
fireball, later frames say how long one lasts; where it shows none, how often one is born. "Real" is reality as the
world draws it. A dream may be right in every single step and yet wrong here: it branches off from what was real, and
feeds on itself from then on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate
from torch import Tensor

import dreamenv
from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.worlds.takecover.fireballs import fireball_pixels


@dataclass(frozen=True, kw_only=True)
class Births:
    """What is measured.

    Attributes:
        episodes: A folder of episodes; those held out from training are used.
        worlds: Folders, or names of shipped worlds.
        temperature: Of the dream.
        count: Episodes.
        first: Step of the first moment of an episode.
        every: Steps between moments.
        horizons: Steps after a moment at which frames are looked at.
        pixels: The least of a fireball.
    """

    episodes: Path
    worlds: tuple[str, ...] = ("takecover",)
    temperature: float = 1.15
    count: int = 60
    first: int = 60
    every: int = 40
    horizons: tuple[int, ...] = (8, 24, 48)
    pixels: int = 4

    def run(self) -> None:
        torch.set_num_threads(1)
        _, held_out = dreamenv.EpisodeStore(self.episodes).split()
        least = self.first + max(self.horizons)
        episodes = [episode for episode in held_out if len(episode) >= least][: self.count]
        rows = [row for name in self.worlds for row in measure(self, name, episodes)]
        print(tabulate(rows, headers="keys", floatfmt=".2f"))


@torch.inference_mode()
def measure(study: Births, name: str, episodes: Sequence[dreamenv.Episode]) -> list[dict[str, object]]:
    """Shares of frames with a fireball, really and in dreams that branched off, by what the moment shows."""
    world = dreamenv.load(name)
    begun, moments, last = [], [], max(study.horizons)
    for episode in episodes:
        frames, actions = torch.from_numpy(episode.observations), torch.from_numpy(episode.actions)
        embedding = torch.cat([world.model.embed(part) for part in frames.split(256)])
        states, _ = world.model.follow([embedding], [actions])[0]
        shown = shows(study, world, states)
        steps = range(study.first, len(episode) - last + 1, study.every)
        begun.append(states.rows(torch.tensor(steps)))
        moments += [(actions[step : step + last], shown[step : step + last + 1]) for step in steps]
    actions, shown = zip(*moments, strict=True)
    real = np.stack(shown)
    dreamed = dream(study, world, State.cat(begun), torch.stack(actions))
    return [
        {"world": name, "the moment shows": what, "moments": int(of.sum())}
        | {f"real, {step} steps later": real[of, step].mean() for step in study.horizons}
        | {f"dreamed, {step}": dreamed[step][of].mean() for step in study.horizons}
        for what, of in (("a fireball", real[:, 0]), ("none", ~real[:, 0]))
    ]


def dream(study: Births, world: dreamenv.World, state: State, actions: Tensor) -> dict[int, NDArray]:
    """Whether the dreams (B,) show a fireball, at every horizon."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for step, action in enumerate(actions.unbind(1), start=1):
        noise = Noise.draw(len(action), world.model.prior_noise, generator)
        state, _ = world.imagine(state, action, study.temperature, noise)
        if step in study.horizons:
            found[step] = shows(study, world, state)
    return found


def shows(study: Births, world: dreamenv.World, states: State) -> NDArray[np.bool_]:
    """Whether states (B,) show a fireball as the world draws them."""
    parts = [states.rows(slice(first, first + 256)) for first in range(0, len(states.step), 256)]
    return np.concatenate([fireball_pixels(world.decode(part)) for part in parts]) >= study.pixels
