"""Films of an agent: the dream beside reality."""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dreamenv.envs.dream_vector import DreamVectorEnv
from dreamenv.envs.latent_vector import VectorLatentObservation
from dreamenv.foundation.files import write_bytes
from dreamenv.real.make import make_reality_vector
from dreamenv.rollouts import Policy, rollout
from dreamenv.world import World, seen_by

SCALE, MARGIN, LABEL = 3, 6, 14
LONGEST, PICTURES = 400, 150  # most steps of an episode that a film covers, and most frames that it shows
Frames = list[NDArray[np.uint8]]


def write_film(world: World, agent: Policy, path: Path, *, seed: int, temperature: float, fps: int = 15) -> None:
    """Writes a GIF of one dreamed and one real episode of the agent acting greedily, side by side.

    It covers their first steps; of long ones it shows every second, third and so on.

    Args:
        world: The world.
        agent: The agent.
        path: Path of the GIF.
        seed: Seed of both episodes.
        temperature: Temperature of the dream.
        fps: Frames per second.
    """
    world = seen_by(world, agent)
    dream = DreamVectorEnv(
        world, 1, temperature=temperature, autoreset_mode=AutoresetMode.DISABLED, render_mode="rgb_array"
    )
    real = VectorLatentObservation(make_reality_vector(world.config.recipe, 1), world)
    with contextlib.closing(dream), contextlib.closing(real):
        columns = {
            f"dream, temperature {temperature:g}": _film(dream, agent, seed),
            "reality | as V sees it": _film(real, agent, seed),
        }
    length = max(map(len, columns.values()))
    shown = range(0, length, math.ceil(length / PICTURES))
    pictures = [_compose({name: film[min(i, len(film) - 1)] for name, film in columns.items()}) for i in shown]
    pictures += [pictures[-1]] * fps
    buffer = io.BytesIO()
    quantised = [picture.quantize(96, dither=Image.Dither.NONE) for picture in pictures]
    quantised[0].save(buffer, "GIF", save_all=True, append_images=quantised[1:], duration=1000 // fps, loop=0)
    write_bytes(path, buffer.getvalue())


def _film(env: VectorEnv, agent: Policy, seed: int) -> Frames:
    frames: Frames = []

    def record_frame() -> None:
        if len(frames) < LONGEST:
            pictures = env.render()
            assert pictures is not None
            frames.append(np.asarray(pictures[0]))

    list(rollout(env, agent, [seed], deterministic=True, on_observation=record_frame))
    return frames


def _compose(columns: dict[str, NDArray[np.uint8]]) -> Image.Image:
    """Puts labelled frames side by side."""
    scaled = {name: frame.repeat(SCALE, 0).repeat(SCALE, 1) for name, frame in columns.items()}
    width = sum(frame.shape[1] + MARGIN for frame in scaled.values()) - MARGIN
    picture = Image.new("RGB", (width, LABEL + max(frame.shape[0] for frame in scaled.values())), "white")
    draw, left = ImageDraw.Draw(picture), 0
    for name, frame in scaled.items():
        draw.text((left + 2, 1), name, fill="black")
        picture.paste(Image.fromarray(frame), (left, LABEL))
        left += frame.shape[1] + MARGIN
    return picture
