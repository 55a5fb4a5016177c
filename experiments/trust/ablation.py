"""Why the recipe works: one change at a time, the same number of real frames and dream steps, several seeds.

Run it after `trust.frontier`, whose worlds and PPO agents are those of the unchanged recipe, and `trust.rounds`, whose
first rounds, of 40,000 frames, are those of narrow exploration. Every seed trains PPO in the dream anew; V and M, and
collects, where the change asks for it. Scores are on validation seeds: they are what a recipe is chosen by. Another
seed of PPO in the same world says how much of a difference is chance.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dreamenv
from experiments.runner import Study, in_parallel, slug
from experiments.show import Layout, Row, cells, spread
from experiments.worlds import ENV, PPO, identity, keeping, trained

EXPLORATION = dreamenv.ExplorationConfig()
UNIFORM = dreamenv.ExplorationConfig(bump_and_turn=0.0, preference=0.0, sticky=1.0, hold=(1,))
RECIPE = dreamenv.TrainConfig()
UNBALANCED = replace(RECIPE.memory, episode_balance=0.0, step_balance=0.0)
WORLDS: dict[str, tuple[dreamenv.ExplorationConfig, dreamenv.TrainConfig]] = {
    "recipe": (EXPLORATION, RECIPE),
    "uniform": (UNIFORM, RECIPE),
    "plain-error": (EXPLORATION, replace(RECIPE, vision=replace(RECIPE.vision, rare_colours=False))),
    "unbalanced": (EXPLORATION, replace(RECIPE, memory=UNBALANCED)),
    "uncalibrated": (EXPLORATION, replace(RECIPE, memory=replace(RECIPE.memory, calibrated=False))),
    "untrained-m": (EXPLORATION, keeping(RECIPE, "memory")),
}
SETTINGS: dict[str, tuple[str, dreamenv.PPOConfig]] = {
    "the recipe": ("recipe", PPO),
    "another seed of PPO": ("recipe", replace(PPO, seed=100)),
    "exploration: uniform random": ("uniform", PPO),
    "exploration: narrow": ("narrow", PPO),
    "V: plain squared error": ("plain-error", PPO),
    "M: no balance of endings": ("unbalanced", PPO),
    "M: endings not calibrated": ("uncalibrated", PPO),
    "M: untrained": ("untrained-m", PPO),
    "dream: no branched starts": ("recipe", replace(PPO, branched_starts=0.0)),
    "dream: temperature 0.1": ("recipe", replace(PPO, temperature=0.1)),
    "dream: temperature 1": ("recipe", replace(PPO, temperature=1.0)),
    "agent: z only": ("recipe", replace(PPO, inputs=("z",))),
}
MADE_ELSEWHERE = ("the recipe", "exploration: narrow")  # by the frontier, and by rounds
PLACES = {
    "dream greedy": "dream, greedy",
    "validation greedy": "reality, greedy",
    "validation sampling": "reality, sampling",
}


@dataclass(frozen=True, kw_only=True)
class Ablation(Study):
    """What is measured.

    Attributes:
        frontier: Where `trust.frontier` put its worlds.
        rounds: Where `trust.rounds` put its rounds.
        frames: Real frames for every world, one of the budgets there.
    """

    root: Path = Path("runs/ablation")
    settings: tuple[str, ...] = tuple(SETTINGS)
    frontier: Path = Path("runs/frontier")
    rounds: Path = Path("runs/rounds")
    frames: int = 40_000
    episodes: int = 100

    layout = Layout(
        name="ablation",
        keys={"setting": "change"},
        columns=cells(spread, tuple(PLACES)),
        places=PLACES,
        labels=("one change at a time", "mean return"),
    )

    def prepare(self) -> None:
        asked = {SETTINGS[setting][0] for setting in self.settings} - {"recipe"}
        jobs = [(world, seed) for world in WORLDS if world in asked for seed in self.seeds]
        in_parallel(self.train_world, jobs, self.processes)

    def place(self, world: str, seed: int) -> Path:
        """The folder of a world; the recipe's is one of the frontier, that of narrow exploration a first round."""
        if world == "recipe":
            return self.frontier / f"seed{seed}" / str(self.frames)
        if world == "narrow":
            return self.rounds / f"narrow-then-rounds-seed{seed}" / "rounds" / "00"
        return self.root / f"{world}-seed{seed}"

    def train_world(self, name: str, seed: int) -> None:
        """Makes one world; takes episodes and V from the recipe's where they are the same."""
        folder, recipe = self.place(name, seed), self.place("recipe", seed)
        exploration, training = WORLDS[name]
        if exploration != WORLDS["recipe"][0]:
            collecting = dreamenv.CollectConfig(frames=self.frames, seed=seed, exploration=exploration)
            dreamenv.collect(ENV, folder / "episodes", collecting)
        elif not folder.exists():
            shutil.copytree(recipe / "episodes", folder / "episodes")
            if training.vision == WORLDS["recipe"][1].vision:
                shutil.copytree(recipe / "training" / "vision", folder / "training" / "vision")
        dreamenv.train(folder, replace(training, seed=seed))

    def folder(self, setting: str, seed: int) -> Path:
        name = "ppo" if setting in MADE_ELSEWHERE else slug(setting)
        return self.place(SETTINGS[setting][0], seed) / "agents" / name

    def made_with(self, setting: str, seed: int) -> dict[str, Any]:
        return {"world": identity(self.place(SETTINGS[setting][0], seed)), "episodes": self.episodes}

    def make(self, setting: str, seed: int) -> Row:
        """Trains and scores one agent."""
        name, ppo = SETTINGS[setting]
        world, agent = dreamenv.load(self.place(name, seed)), self.folder(setting, seed)
        dream, ppo = {"temperature": ppo.temperature}, replace(ppo, seed=ppo.seed + seed)
        config = None if setting in MADE_ELSEWHERE else ppo
        return trained(world, agent, config, self.episodes, dream, ("validation",))
