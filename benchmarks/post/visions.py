"""Three kinds of V on the same frames: what they see, how fast they learn, and what their agents get in reality.

Run `python -m benchmarks.post.visions --episodes FOLDER`, a folder of collected episodes such as the frontier's; it
goes on where it was interrupted. M and agents are trained alike on top of each V.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from tabulate import tabulate

import dreamenv
from benchmarks.speed.training import seconds_per_step
from benchmarks.study import Row, once, real_scores, spread
from dreamenv.evaluate.report import report, telling_frames
from dreamenv.files import write_json
from dreamenv.training.fit import FitConfig
from dreamenv.training.vision import VisionTraining, train_vision

KINDS = ("ConvVAE", "UNetVAE", "VAE-GAN")


def changed(vision: VisionTraining, kind: str) -> VisionTraining:
    """The settings of training a kind of V."""
    if kind == "VAE-GAN":
        return replace(vision, adversarial=True, fit=replace(vision.fit, momentum=0.5, learning_rate=5e-4))
    return replace(vision, model=replace(vision.model, kind="unet")) if kind == "UNetVAE" else vision


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        episodes: Folder of collected episodes, for one seed each.
        root: Takes everything.
        visions: Which of them; all by default.
        real_episodes: Per score.
        train: V and M, before the kind of V is changed.
        ppo: PPO in the dream.
        seeds: Of PPO, one agent each; V and M are trained once, with the first.
        turns: Of measuring the speed of training, all kinds in each; the best counts.
    """

    episodes: Path
    root: Path = Path("runs/visions")
    visions: tuple[str, ...] = KINDS
    real_episodes: int = 100
    train: dreamenv.TrainConfig = dreamenv.TrainConfig()
    ppo: dreamenv.PPOConfig = dreamenv.PPOConfig(temperature=1.15)
    seeds: tuple[int, ...] = (0, 1, 2)
    turns: int = 3


def main(study: Study) -> None:
    torch.set_num_threads(1)
    rows = [{**look(study, name), "agents": agents(study, name)} for name in study.visions]
    speed = frames_per_second(study)
    rows = [{**row, "frames/s": speed[row["vision"]]} for row in rows]
    write_json(study.root / "visions.json", rows)
    print(table(rows))
    plot(study, study.root / "visions.png")


def world_of(study: Study, name: str) -> dreamenv.World:
    """The world with a kind of V, trained unless it is there."""
    config = replace(study.train, vision=changed(study.train.vision, name), seed=study.seeds[0])
    return dreamenv.train(study.root / name, config, episodes=study.episodes)


def look(study: Study, name: str) -> Row:
    """What a V makes of held-out frames."""

    def make() -> Row:
        world = world_of(study, name)
        seen = report(world, dreamenv.EpisodeStore(study.episodes), study.root / name / "training").vision
        parameters = sum(parameter.numel() for parameter in world.vision.parameters())
        facts = {"vision": name, "parameters": parameters, "sharpness": sharpness(world, study.episodes)}
        return {**facts, **dataclasses.asdict(seen)}

    return once(study.root / name / "vision.json", make, train=study.train)


def agents(study: Study, name: str) -> list[Row]:
    """Real scores of PPO, trained in the dream of the same M on top of a V."""

    def make(seed: int) -> Row:
        world, folder = world_of(study, name), study.root / name / "agents" / f"ppo-{seed}"
        agent = dreamenv.train_ppo(world, folder, replace(study.ppo, seed=seed))
        return {"seed": seed, **real_scores(world, agent, study.real_episodes)}

    place = study.root / name / "scores"
    made_with = {"train": study.train, "ppo": study.ppo, "real_episodes": study.real_episodes}
    return [once(place / f"ppo-{seed}.json", functools.partial(make, seed), **made_with) for seed in study.seeds]


def frames_per_second(study: Study) -> dict[str, float]:
    """That a V learns from, on one core."""
    episodes = list(dreamenv.EpisodeStore(study.episodes))
    best = dict.fromkeys(study.visions, 0.0)
    for _ in range(study.turns):
        for name in best:
            config = changed(study.train.vision, name)

            def train(fit: FitConfig, place: Path, config: VisionTraining = config) -> object:
                return train_vision(episodes, replace(config, fit=fit), place, 0)

            best[name] = max(best[name], config.batch_size / seconds_per_step(train, config.fit, steps=4))
    return best


@torch.inference_mode()
def sharpness(world: dreamenv.World, episodes: Path) -> float:
    """Mean absolute Laplacian of reconstructions as a share of that of held-out frames; 1 is as sharp as reality."""
    _, held_out = dreamenv.EpisodeStore(episodes).split()
    frames = np.concatenate([episode.observations for episode in held_out])[::20]
    pixels = world.vision.to_pixels(torch.from_numpy(frames))
    drawn = world.vision.decode_pixels(world.vision.encode_pixels(pixels)[0])
    return float(_laplacian(drawn) / _laplacian(pixels))


def _laplacian(pixels: torch.Tensor) -> torch.Tensor:
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).expand(3, 1, 3, 3)
    return torch.nn.functional.conv2d(pixels, kernel, groups=3).abs().mean()


def table(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        boxes = [region for region in row["regions"] if region["colour"] == "red"]
        lines.append(
            (
                row["vision"],
                f"{row['parameters']:,}",
                f"{row['frames/s']:.0f}",
                f"{row['squared_error']:.5f}",
                "" if row["squared_error_beside"] is None else f"{row['squared_error_beside']:.5f}",
                ", ".join(f"{box['squared_error']:.3f}" for box in boxes),
                f"{row['spread']:.2f}",
                f"{row['sharpness']:.2f}",
                spread(row["agents"], "test greedy"),
                spread(row["agents"], "test sampling"),
            )
        )
    headers = (
        "V",
        "parameters",
        "frames/s",
        "squared error",
        "with skips",
        "box error, small to large",
        "spread",
        "sharpness",
        "PPO, greedy",
        "PPO, sampling",
    )
    return tabulate(lines, headers, disable_numparse=True)


def plot(study: Study, path: Path) -> None:
    """Real frames, and below them what each V makes of them; with skips too where it has them."""
    _, held_out = dreamenv.EpisodeStore(study.episodes).split()
    frames = telling_frames(held_out)
    rows = {"real": frames}
    for name in study.visions:
        world = dreamenv.load(study.root / name)
        with torch.inference_mode():
            state = world.start(torch.from_numpy(frames))
            rows[name] = world.decode(state)
            if world.config.vision.kind == "unet":
                rows[f"{name}, skips"] = world.decode(state, torch.from_numpy(frames))
    figure = Figure(figsize=(1.3 * len(frames), 1.15 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(frames))
    for line, (label, pictures) in zip(axes, rows.items(), strict=True):
        for place, picture in zip(line, pictures, strict=True):
            place.imshow(picture)
            place.set(xticks=[], yticks=[])
        line[0].set_ylabel(label, fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(tyro.cli(Study))
