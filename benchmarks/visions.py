"""Three kinds of V on the same frames: what they see, how fast they learn, and what their agents get in reality.

Run `python benchmarks/visions.py --episodes FOLDER`, a folder of collected episodes such as the frontier's; it goes on
where it was interrupted. M and agents are trained alike on top of each V.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from study import Row, once, real_scores
from tabulate import tabulate

import dreamenv
from dreamenv.evaluate.report import report, telling_frames
from dreamenv.files import write_json

RECIPE = dreamenv.TrainConfig()
VISIONS: dict[str, dreamenv.TrainConfig] = {
    "ConvVAE": RECIPE,
    "UNetVAE": replace(RECIPE, vision=replace(RECIPE.vision, model=replace(RECIPE.vision.model, kind="unet"))),
    "VAE-GAN": replace(
        RECIPE,
        vision=replace(
            RECIPE.vision, adversarial=True, fit=replace(RECIPE.vision.fit, momentum=0.5, learning_rate=5e-4)
        ),
    ),
}


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        episodes: Folder of collected episodes, for one seed each.
        root: Takes everything.
        visions: Which of them; all by default.
        real_episodes: Per score.
        ppo: PPO in the dream.
        seed: Of everything random.
    """

    episodes: Path
    root: Path = Path("runs/visions")
    visions: tuple[str, ...] = tuple(VISIONS)
    real_episodes: int = 100
    ppo: dreamenv.PPOConfig = dreamenv.PPOConfig(temperature=1.15)
    seed: int = 0


def main(study: Study) -> None:
    torch.set_num_threads(1)
    rows = [measure(study, name) for name in study.visions]
    write_json(study.root / "visions.json", rows)
    print(table(rows))
    plot(study, study.root / "visions.png")


def measure(study: Study, name: str) -> Row:
    """Trains V, M and an agent, and scores them, unless that was done before."""
    folder, config = study.root / name, replace(VISIONS[name], seed=study.seed)

    def make() -> Row:
        begin = time.process_time()
        world = dreamenv.train(folder, config, episodes=study.episodes)
        seconds = time.process_time() - begin
        seen = report(world, dreamenv.EpisodeStore(study.episodes), folder / "training")
        agent = dreamenv.train_ppo(world, folder / "agents" / "ppo", replace(study.ppo, seed=study.seed))
        parameters = sum(parameter.numel() for parameter in world.vision.parameters())
        facts = {"vision": name, "parameters": parameters, "seconds of V and M": seconds}
        return {
            **facts,
            **dataclasses.asdict(seen.vision),
            "sharpness": sharpness(world, study.episodes),
            **real_scores(world, agent, study.real_episodes),
        }

    return once(folder / "scores.json", make)


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
                f"{row['squared_error']:.5f}",
                "" if row["squared_error_beside"] is None else f"{row['squared_error_beside']:.5f}",
                ", ".join(f"{box['squared_error']:.3f}" for box in boxes),
                f"{row['spread']:.2f}",
                f"{row['sharpness']:.2f}",
                f"{row['test greedy']['success']:.2f} / {row['test greedy']['mean']:.3f}",
                f"{row['test sampling']['success']:.2f} / {row['test sampling']['mean']:.3f}",
            )
        )
    headers = (
        "V",
        "parameters",
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
