"""Does V draw what shoots? Monsters and fireballs of DoomTakeCover, found by the game's own labels, in V's drawings.

The labels serve this measurement only: no training sees them. A thing stands out from what is beside it, in each
colour; the share of that contrast that V keeps is the slope of the drawn against the real one (1: drawn as it is, 0:
gone), and a thing counts as drawn from a half on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from tabulate import tabulate

import dreamenv
from dreamenv.foundation.seeds import VALIDATION_SEED
from dreamenv.worlds.takecover.policies import HeldPolicy
from dreamenv.worlds.takecover.real import BAND, SIDE, make_takecover
from experiments.takecover.fireballs import draw, encode

THINGS = {"monsters": "DoomImp", "fireballs": "DoomImpBall"}  # by the names that the game gives them
LEAST_PIXELS = 4
LEAST_CONTRAST = 15.0  # of 255, root mean square of the three colours: less cannot be told from the wall
BESIDE = 4  # pixels to the left and right that a thing is compared with


@dataclass(frozen=True, kw_only=True)
class Monsters:
    """What is measured.

    Attributes:
        worlds: Folders, or names of shipped worlds.
        episodes: Of a policy that holds random actions for 1 to 120 steps.
        every: Steps between the frames that are looked at.
        picture: Takes some frames, and below them what each world draws.
        columns: Frames of the picture.
    """

    worlds: tuple[str, ...] = ("takecover",)
    episodes: int = 30
    every: int = 15
    picture: Path = Path("runs/monsters.png")
    columns: int = 12

    def run(self) -> None:
        torch.set_num_threads(1)
        frames, masks = play(self)
        taken = np.any(list(masks.values()), axis=0)
        rows, pictures = [], [frames.astype(np.uint8)]
        for name in self.worlds:
            world = dreamenv.load(name)
            drawn = draw(world, encode(world, frames.astype(np.uint8)))
            pictures.append(drawn)
            row: dict[str, Any] = {"world": name, "squared error": float(np.square((drawn - frames) / 255.0).mean())}
            for thing, mask in masks.items():
                real, kept = contrasts(frames, drawn, mask, taken)
                share = (real * kept).sum(1) / np.square(real).sum(1)
                row |= {thing: len(real), f"{thing}: contrast kept": float((real * kept).sum() / np.square(real).sum())}
                row |= {f"{thing}: drawn": float((share > 0.5).mean())}
            rows.append(row)
        print(tabulate(rows, headers="keys", floatfmt=".4g"))
        chosen = np.linspace(0, len(frames) - 1, self.columns).astype(int)
        strips = np.concatenate([np.concatenate(list(picture[chosen]), axis=1) for picture in pictures])
        self.picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(strips.repeat(2, 0).repeat(2, 1)).save(self.picture)
        print(f"{self.picture}: real frames, and below them what V draws in {', '.join(self.worlds)}")


def play(study: Monsters) -> tuple[NDArray, dict[str, NDArray]]:
    """Frames (N, 64, 64, 3) of the game, as floats, and where its labels say the things are, (N, 64, 64) each."""
    env = make_takecover()
    game: Any = env.unwrapped.game  # type: ignore[attr-defined]
    game.close()
    game.set_labels_buffer_enabled(True)
    game.init()
    policy = HeldPolicy(hold=120)
    frames: list[NDArray] = []
    masks: dict[str, list[NDArray]] = {thing: [] for thing in THINGS}
    for seed in range(VALIDATION_SEED, VALIDATION_SEED + study.episodes):
        (frame, _), state, over, step = env.reset(seed=seed), None, False, 0
        while not over:
            action, state = policy.predict(frame[None], state, np.array([step == 0]))
            frame, _, over, _, _ = env.step(int(action[0]))
            step += 1
            if step % study.every == 0 and not over:
                frames.append(frame)
                for thing, mask in where(game.get_state()).items():
                    masks[thing].append(mask)
    env.close()
    return np.stack(frames).astype(float), {thing: np.stack(found) for thing, found in masks.items()}


def where(state: Any) -> dict[str, NDArray]:
    """Pixels of a frame that are mostly a thing's, (64, 64) bool each."""
    masks = {}
    for thing, name in THINGS.items():
        values = [label.value for label in state.labels if label.object_name == name]
        screen = Image.fromarray(255 * np.isin(state.labels_buffer, values).astype(np.uint8))
        masks[thing] = np.asarray(screen.crop(BAND).resize((SIDE, SIDE), Image.Resampling.BOX)) > 127
    return masks


def contrasts(frames: NDArray, drawn: NDArray, mask: NDArray, taken: NDArray) -> tuple[NDArray, NDArray]:
    """How much the things that can be seen differ from what is beside them, really and as V draws them, (K, 3) each."""
    found = []
    for real, kept, here, full in zip(frames, drawn.astype(float), mask, taken, strict=True):
        labels, count = ndimage.label(here)
        for number in range(1, count + 1):
            thing = labels == number
            beside = ndimage.binary_dilation(thing, np.ones((1, 3), bool), BESIDE) & ~ndimage.binary_dilation(full)
            if min(thing.sum(), beside.sum()) >= LEAST_PIXELS:
                found.append([picture[thing].mean(0) - picture[beside].mean(0) for picture in (real, kept)])
    real_contrast, kept_contrast = np.moveaxis(np.array(found).reshape(-1, 2, 3), 1, 0)
    visible = np.sqrt(np.square(real_contrast).mean(1)) >= LEAST_CONTRAST
    return real_contrast[visible], kept_contrast[visible]
