"""The same real moments dreamed on at several temperatures, in worlds of different kinds.

Temperatures do not compare between kinds of distributions. The table measures what a temperature does by the entropy of
the prior, relative to temperature 1, and by how much pictures differ that were drawn from the same moment: their
standard deviation over draws, one step and several steps later. The pictures show dreams under the actions that were
really taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor

import dreamenv
from dreamenv.foundation.figures import plot_frames
from dreamenv.foundation.files import write_json
from dreamenv.models.base import State
from dreamenv.models.latent import Mixture
from dreamenv.models.noise import Noise
from dreamenv.recordings import record
from dreamenv.world import Trace, World
from experiments.show import Row


@dataclass(frozen=True, kw_only=True)
class Temperatures:
    """What is measured.

    Attributes:
        episodes: A folder of episodes; those held out from training are used.
        worlds: Folders, or names of shipped worlds.
        root: Takes the table, and a picture for each world.
        temperatures: Of the dreams.
        count: Episodes; dreams begin in the middle of each.
        draws: Dreams from each of these moments.
        later: Steps until the second look at the pictures.
        shown: Steps of the pictures' columns.
    """

    episodes: Path
    worlds: tuple[str, ...] = ("sidewalk",)
    root: Path = Path("runs/temperatures")
    temperatures: tuple[float, ...] = (0.1, 0.5, 1.0, 1.5, 2.0)
    count: int = 20
    draws: int = 16
    later: int = 10
    shown: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 24)

    def run(self) -> None:
        torch.set_num_threads(1)
        _, held_out = dreamenv.EpisodeStore(self.episodes).split()
        episodes = [one for one in held_out if len(one) > 2 * (max(*self.shown, self.later) + 1)][: self.count]
        rows = [row for name in self.worlds for row in self.measure(name, episodes)]
        write_json(self.root / "temperatures.json", rows)
        print(tabulate(rows, headers="keys", floatfmt=".3f"))

    @torch.inference_mode()
    def measure(self, name: str, episodes: Sequence[dreamenv.Episode]) -> list[Row]:
        """A row for each temperature, and the picture."""
        world = dreamenv.load(name)
        traces = world.follow(record(world.model, episodes, world.config))
        entropies = {tau: entropy(world, traces, tau) for tau in (1.0, *self.temperatures)}
        rows: list[Row] = []
        for tau in self.temperatures:
            spread = {steps: self.spread(world, traces, tau, steps) for steps in (1, self.later)}
            rows.append(
                {
                    "world": Path(name).name,
                    "temperature": tau,
                    "entropy of z, nats, less that at 1": entropies[tau] - entropies[1.0],
                    **{f"spread of pictures, {steps} steps": value for steps, value in spread.items()},
                }
            )
        shown = max(range(len(traces)), key=lambda index: int(traces[index].recording.ending[-1]))  # the best ending
        frames: dict[str, Any] = {f"{tau:g}": self.strip(world, traces[shown], tau) for tau in self.temperatures}
        real = [len(traces[shown]) // 2 + step for step in self.shown]
        plot_frames({"real": episodes[shown].observations[real], **frames}, self.root / f"{Path(name).name}.png")
        return rows

    def spread(self, world: World, traces: Sequence[Trace], temperature: float, steps: int) -> float:
        """Standard deviation of pixels in [0, 1] over dreams from the same moment."""
        found = []
        for trace in traces:
            last = dreams(world, trace, temperature, steps, self.draws)[-1]
            found.append(torch.from_numpy(world.decode(last)).float().div(255.0).std(0).mean())
        return float(torch.stack(found).mean())

    def strip(self, world: World, trace: Trace, temperature: float) -> Any:
        """One dream at the shown steps, (N, height, width, 3) uint8."""
        states = dreams(world, trace, temperature, max(self.shown), 1)
        return world.decode(State.cat([states[step] for step in self.shown]))


def dreams(world: World, trace: Trace, temperature: float, steps: int, draws: int) -> list[State]:
    """States of dreams that begin in the middle of a recorded episode and take its actions, after 0 to ``steps``."""
    first, generator = len(trace) // 2, torch.Generator().manual_seed(0)
    states = [trace.states.rows(torch.full((draws,), first))]
    for action in trace.recording.action[first : first + steps]:
        noise = Noise.draw(draws, world.model.prior_noise, generator)
        states.append(world.imagine(states[-1], action.expand(draws, *action.shape), temperature, noise)[0])
    return states


def entropy(world: World, traces: Sequence[Trace], temperature: float) -> float:
    """Mean entropy of the priors at a temperature, summed over z, in nats; of mixtures by their draws."""
    found: list[Tensor] = []
    for trace in traces:
        prior: Any = trace.priors
        tempered = prior.tempered(temperature)
        if isinstance(prior, Mixture):
            noise = Noise.draw(len(trace), world.model.prior_noise, torch.Generator().manual_seed(0))
            found.append(-tempered.log_probability(tempered.sample(None, noise.latent, noise.normal)))
        else:
            found.append(tempered.entropy().sum(-1))
    return float(torch.cat(found).mean())
