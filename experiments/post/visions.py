"""Three kinds of V on the same frames: what they see, how fast they learn, and what their agents get in reality.

`--episodes` is a folder of collected episodes such as the frontier's. M and agents are trained alike on top of each V.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

import dreamenv
from benchmarks.speed.training import seconds_per_step
from dreamenv.foundation.figures import plot_frames
from dreamenv.reports.summary import frames_by_colour, report
from dreamenv.training.fit import FitConfig
from dreamenv.training.vision import VisionTraining, train_vision
from experiments.runner import Study, once
from experiments.show import Layout, Row, cells, first, grouped, spread
from experiments.worlds import PPO, trained

SETTINGS = ("ConvVAE", "UNetVAE", "VAE-GAN")


def changed(vision: VisionTraining, kind: str) -> VisionTraining:
    """The settings of training a kind of V."""
    if kind == "VAE-GAN":
        return replace(vision, adversarial=True, fit=replace(vision.fit, momentum=0.5, learning_rate=5e-4))
    return replace(vision, model=replace(vision.model, kind="unet")) if kind == "UNetVAE" else vision


def box_errors(regions: list[Row]) -> str:
    """Squared errors of the red boxes, from small to large ones."""
    return ", ".join(f"{region['squared_error']:.3f}" for region in regions if region["colour"] == "red")


@dataclass(frozen=True, kw_only=True)
class Visions(Study):
    """What is measured.

    Attributes:
        episodes: Folder of collected episodes, for one seed each.
        seeds: Of PPO, one agent each; V and M are trained once, with the first.
        turns: Of measuring the speed of training, all kinds in each; the best counts.
    """

    episodes: Path
    root: Path = Path("runs/visions")
    settings: tuple[str, ...] = SETTINGS
    processes: int = 0
    real_episodes: int = 100
    train: dreamenv.TrainConfig = dreamenv.TrainConfig()
    ppo: dreamenv.PPOConfig = PPO
    turns: int = 3

    layout = Layout(
        name="visions",
        keys={"vision": "V"},
        columns={
            **cells(first("{:,}"), ("parameters",)),
            **cells(first("{:.0f}"), ("frames/s",)),
            **cells(first("{:.5f}"), {"squared_error": "squared error", "squared_error_beside": "with skips"}),
            **cells(lambda found: box_errors(found[0]), {"regions": "box error, small to large"}),
            **cells(first("{:.2f}"), ("spread", "sharpness")),
            **cells(spread, {"test greedy": "PPO, greedy", "test sampling": "PPO, sampling"}),
        },
    )

    def prepare(self) -> None:
        torch.set_num_threads(1)
        for name in self.settings:
            self.look(name)

    def world_of(self, name: str) -> dreamenv.World:
        """The world with a kind of V, trained unless it is there."""
        config = replace(self.train, vision=changed(self.train.vision, name), seed=self.seeds[0])
        return dreamenv.train(self.root / name, config, episodes=self.episodes)

    def look(self, name: str) -> Row:
        """What a V makes of held-out frames."""

        def make() -> Row:
            world = self.world_of(name)
            seen = report(world, dreamenv.EpisodeStore(self.episodes), self.root / name / "training").vision
            parameters = sum(parameter.numel() for parameter in world.model.vision.parameters())
            found = {"vision": name, "parameters": parameters, "sharpness": sharpness(world, self.episodes)}
            return {**found, **asdict(seen)}

        return once(self.root / name / "vision.json", make, train=self.train)

    def measure(self, setting: str, seed: int) -> Row:
        path = self.root / setting / "scores" / f"ppo-{seed}.json"
        made_with = self.options("train", "ppo", "real_episodes")
        return {"vision": setting, **once(path, lambda: self.make(setting, seed), **made_with)}

    def make(self, setting: str, seed: int) -> Row:
        """Real scores of PPO, trained in the dream of the same M on top of a V."""
        folder, ppo = self.root / setting / "agents" / f"ppo-{seed}", replace(self.ppo, seed=seed)
        return {"seed": seed, **trained(self.world_of(setting), folder, ppo, self.real_episodes)}

    def report(self, rows: list[Row]) -> None:
        speed, agents = self.frames_per_second(), grouped(rows, "vision")
        seen = {name: {**self.look(name), "frames/s": speed[name]} for name in self.settings}
        record = [{**of, "agents": agents[name,]} for name, of in seen.items()]
        self.show([{**seen[row["vision"]], **row} for row in rows], record=record)
        plot_frames(self.pictures(), self.root / "visions.png")

    def frames_per_second(self) -> dict[str, float]:
        """That a V learns from, on one core."""
        episodes = list(dreamenv.EpisodeStore(self.episodes))
        best = dict.fromkeys(self.settings, 0.0)
        for _ in range(self.turns):
            for name in best:
                config = changed(self.train.vision, name)

                def train(fit: FitConfig, place: Path, config: VisionTraining = config) -> object:
                    return train_vision(episodes, replace(config, fit=fit), place, 0)

                best[name] = max(best[name], config.batch_size / seconds_per_step(train, config.fit, steps=4))
        return best

    @torch.inference_mode()
    def pictures(self) -> dict[str, np.ndarray]:
        """Real frames, and below them what each V makes of them; with skips too where it has them."""
        frames = frames_by_colour(dreamenv.EpisodeStore(self.episodes).split()[1])
        rows = {"real": frames}
        for name in self.settings:
            world = dreamenv.load(self.root / name)
            state = world.start(torch.from_numpy(frames))
            rows[name] = world.decode(state)
            if world.config.model.vision.kind == "unet":
                drawn = world.model.vision.decode(state.z, world.config.frame_shape, torch.from_numpy(frames))
                rows[f"{name}, skips"] = drawn.numpy()
        return rows


@torch.inference_mode()
def sharpness(world: dreamenv.World, episodes: Path) -> float:
    """Mean absolute Laplacian of reconstructions as a share of that of held-out frames; 1 is as sharp as reality."""
    _, held_out = dreamenv.EpisodeStore(episodes).split()
    frames = np.concatenate([episode.observations for episode in held_out])[::20]
    pixels = world.model.vision.to_pixels(torch.from_numpy(frames))
    drawn = world.model.vision.decode_pixels(world.model.vision.encode_pixels(pixels)[0])
    return float(_laplacian(drawn) / _laplacian(pixels))


def _laplacian(pixels: torch.Tensor) -> torch.Tensor:
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).expand(3, 1, 3, 3)
    return torch.nn.functional.conv2d(pixels, kernel, groups=3).abs().mean()
