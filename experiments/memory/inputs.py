"""Do agents need what M remembers? Agents that see [z, h], z alone, or z and the h of an untrained M.

The task is `dreamenv:Memory-v0`, in which an agent that sees only the current frame succeeds in half of the episodes at
most. For every seed, a world is trained on the same frames, and one PPO agent of each setting in its dream. All three
agents of a seed dream in the same world. Scores are on validation and on test seeds. "side known" is M's own: the share
of held-out episodes that ended at the fork, in which M gave their kind of ending more probability than the other one.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import dreamenv
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.recordings import record
from dreamenv.training.fit import FitConfig
from dreamenv.training.kinds import WorldTraining
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.rssm import FramesTraining, RSSMTraining
from dreamenv.training.vision import VisionTraining
from dreamenv.world import World
from dreamenv.worlds.memory.real import STEPS
from experiments.post.random_features import with_random_features
from experiments.runner import Study, in_parallel, once
from experiments.show import Layout, Row, cells, span, spread
from experiments.worlds import identity, trained

ENV = "dreamenv:Memory-v0"
UNTRAINED = "untrained M [z, h]"
SETTINGS: dict[str, dict[str, Any]] = {"[z, h]": {}, "z": {"inputs": ("z",)}, UNTRAINED: {}}
GAUSSIAN = RSSMTraining(
    model=RSSMConfig(frame_shape=(56, 56, 3), channels=(16, 32, 64, 128), latent_size=32),
    frames=FramesTraining(fit=FitConfig(steps=1500, learning_rate=2e-3), batch_size=64),
)
KINDS: dict[str, WorldTraining] = {
    "mdnrnn": dreamenv.TrainConfig(
        vision=VisionTraining(
            model=VisionConfig(frame_shape=(56, 56, 3), latent_size=32, channels=(16, 32, 64, 128)),
            fit=FitConfig(steps=2000, learning_rate=2e-3),
            batch_size=64,
        ),
        memory=MemoryTraining(
            model=MemoryConfig(hidden_size=128),
            fit=FitConfig(steps=4000, learning_rate=5e-3, gradient_clip=1.0),
            batch_size=32,
            window=STEPS,  # whole episodes: the cue is in the first frame
            ending_weight=10.0,
            forget_bias=2.0,
        ),
    ),
    "gaussian": GAUSSIAN,
}
# Short turns, so that more episodes reach an object at the fork: 0.57 of them, 0.42 by default.
COLLECT = dreamenv.CollectConfig(
    frames=150_000,
    exploration=dreamenv.ExplorationConfig(
        bump_and_turn=0.9,
        preference=0.0,
        sticky=0.1,
        noise=(0.0, 0.05, 0.15),
        hold=(3,),
        start_turns=2,
        bump_turns=2,
        patience=(0, 1),
    ),
)
PPO = dreamenv.PPOConfig(timesteps=800_000)


@dataclass(frozen=True, kw_only=True)
class Inputs(Study):
    """What is measured.

    Attributes:
        kind: Of world models.
        seeds: One world each, and one agent of every setting in its dream.
    """

    root: Path = Path("runs/memory")
    env: str = ENV
    kind: str = "mdnrnn"
    settings: tuple[str, ...] = tuple(SETTINGS)
    real_episodes: int = 100
    collect: dreamenv.CollectConfig = COLLECT
    ppo: dreamenv.PPOConfig = PPO

    depends = ("env", "kind", "real_episodes", "ppo")
    layout = Layout(
        name="inputs",
        keys={"setting": "what the agent sees"},
        columns={
            **cells(spread, ("dream greedy", "validation greedy", "test greedy", "test sampling")),
            **cells(lambda shares: span(shares, 2), ("side known",)),
        },
        places={"dream greedy": "dream, greedy", "test greedy": "real, greedy", "test sampling": "real, sampling"},
        labels=("what the agent sees", "mean return"),
    )

    def prepare(self) -> None:
        dreamenv.collect(self.env, self.root / "episodes", self.collect)
        in_parallel(self.learn, [(seed,) for seed in self.seeds], self.processes)

    def learn(self, seed: int) -> Row:
        """Trains the world of a seed, and measures what its M knows at the fork."""
        place, settings = self.world(seed), replace(KINDS[self.kind], seed=seed)

        def make() -> Row:
            world = dreamenv.train(place, settings, episodes=self.root / "episodes")
            return {"side known": side_known(world, dreamenv.EpisodeStore(self.root / "episodes"))}

        return once(place / "known.json", make, settings=settings, collect=self.collect)

    def world(self, seed: int) -> Path:
        """The folder of a seed's world."""
        return self.root / f"{self.kind}-seed{seed}"

    def folder(self, setting: str, seed: int) -> Path:
        name = "".join(c for c in setting if c.isalnum())
        return self.world(seed) / "agents" / name

    def made_with(self, setting: str, seed: int) -> dict[str, Any]:
        return {**super().made_with(setting, seed), "world": identity(self.world(seed))}

    def make(self, setting: str, seed: int) -> Row:
        """Trains one agent in the dream, and scores it in the dream and in reality."""
        world = dreamenv.load(self.world(seed))
        shown = with_random_features(world, seed) if setting == UNTRAINED else world
        ppo = replace(self.ppo, seed=seed, **SETTINGS[setting])
        dream = {"temperature": 1.0 if ppo.temperature is None else ppo.temperature}
        found = trained(shown, self.folder(setting, seed), ppo, self.real_episodes, dream)
        return {**found, "side known": self.learn(seed)["side known"]} if setting == "[z, h]" else found


def side_known(world: World, store: dreamenv.EpisodeStore) -> float:
    """Share of the held-out episodes with an ending in which the model found their kind likelier than the other."""
    recordings = [one for one in record(world.model, store.split()[1], world.config) if one.ending[-1]]
    traces = world.follow(recordings)
    likelier = [trace.outlook.endings[-1, 1:].argmax() + 1 for trace in traces]
    return float(np.mean([int(kind) == int(one.ending[-1]) for kind, one in zip(likelier, recordings, strict=True)]))
