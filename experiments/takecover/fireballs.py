"""Does a dream of DoomTakeCover shoot as the game does? Steps survived, and frames with a fireball, dreamed and real.

Policies that see nothing act alike in both, so that any difference is the world's; give agents by `--agents`. "Drawn"
is reality as V draws it: what is lost there is V's fault.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from tabulate import tabulate

import dreamenv
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.foundation.seeds import VALIDATION_SEED
from dreamenv.real.make import make_real_vector
from dreamenv.rollouts import rollout
from dreamenv.world import seen_by
from dreamenv.worlds.takecover.fireballs import fireball_pixels
from experiments.takecover.temperature import BLIND, ENV


@dataclass(frozen=True, kw_only=True)
class Fireballs:
    """What is measured.

    Attributes:
        world: A folder, or the name of a shipped world.
        agents: Their folders; without any, policies that see nothing.
        temperature: Of the dream.
        episodes: Per policy, on validation seeds.
        every: Steps between the frames that are looked at.
        pixels: The least of a fireball.
    """

    world: str = "takecover"
    agents: tuple[Path, ...] = ()
    temperature: float = 1.0
    episodes: int = 40
    every: int = 7
    pixels: int = 4

    def run(self) -> None:
        torch.set_num_threads(1)
        world = dreamenv.load(self.world)
        policies: dict[str, dreamenv.Policy] = {str(path): dreamenv.load_agent(path) for path in self.agents}
        rows = [measure(self, world, name, policy) for name, policy in policies.items()]
        rows += [measure(self, world, name, make()) for name, make in BLIND.items() if not self.agents]
        print(tabulate(rows, headers="keys", floatfmt=".2f"))


def measure(study: Fireballs, world: dreamenv.World, name: str, policy: dreamenv.Policy) -> dict[str, object]:
    """Plays a policy in both, and looks at what it sees."""
    shown = seen_by(world, policy)
    dream = dreamenv.DreamVectorEnv(
        shown, study.episodes, temperature=study.temperature, autoreset_mode=AutoresetMode.DISABLED
    )
    dreamed, codes = play(dream, policy, study)
    row = {"policy": name, "dreamed steps": dreamed, "frames with fireballs: dreamed": share(world, codes, study)}
    blind = name in BLIND
    real = make_real_vector(ENV, 8) if blind else make_latent_vector(shown, 8, AutoresetMode.DISABLED)
    steps, seen = play(real, policy, study)
    real.close()
    row |= {"real steps": steps, "drawn": share(world, encode(world, seen) if blind else seen, study)}
    return row | ({"real": float((fireball_pixels(seen) >= study.pixels).mean())} if blind else {})


def play(env: object, policy: dreamenv.Policy, study: Fireballs) -> tuple[float, NDArray]:
    """Mean length of the episodes, and every so many of their observations."""
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + study.episodes)
    outcomes = list(rollout(env, policy, seeds, deterministic=True, record=True))  # type: ignore[arg-type]
    seen = [outcome.trajectory.observations[:: study.every] for outcome in outcomes if outcome.trajectory]
    return float(np.mean([outcome.length for outcome in outcomes])), np.concatenate(seen)


@torch.inference_mode()
def encode(world: dreamenv.World, frames: NDArray) -> NDArray:
    """Codes of real frames."""
    parts = torch.from_numpy(frames).split(256)
    return torch.cat([world.model.vision.encode(part)[0] for part in parts]).numpy()


@torch.inference_mode()
def draw(world: dreamenv.World, codes: NDArray) -> NDArray[np.uint8]:
    """Frames (N, 64, 64, 3) as V draws them from the first Z numbers of codes or observations (N, ...)."""
    z = torch.from_numpy(codes[:, : world.model.latent_size])
    shape = world.config.frame_shape
    return np.concatenate([world.model.vision.decode(part, shape).numpy() for part in z.split(256)])


def share(world: dreamenv.World, codes: NDArray, study: Fireballs) -> float:
    """Share of the codes' drawings that show a fireball."""
    return float((fireball_pixels(draw(world, codes)) >= study.pixels).mean())
