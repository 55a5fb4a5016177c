"""Which part of an online loop falls short: its model, or its behaviour? Each is swapped on the loop's own episodes.

Behaviours are exchanged in the world that a loop of `online.control` kept. Models are trained anew on all of its
episodes, as its last training would be, and the same planner acts in each of them. Real scores are
on validation seeds.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dreamenv
from dreamenv.agents.planner import Planner
from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.bundle import save
from dreamenv.data.store import EpisodeStore
from dreamenv.rounds.online_config import OnlineConfig
from dreamenv.rounds.online_learner import OnlineLearner
from experiments.online.finished import Finished
from experiments.show import Layout, Row, cells, first, span, spread
from experiments.worlds import dream_scores, real_scores

KEPT = "kept"
SETTINGS: dict[str, tuple[str, str]] = {  # model, behaviour
    "its own behaviour": (KEPT, "own"),
    "planner": (KEPT, "planner"),
    "actor-critic, from nothing": (KEPT, "actor-critic"),
    "PPO, from nothing": (KEPT, "PPO"),
    "planner, model of PlaNet": ("planet", "planner"),
    "planner, model of PlaNet, no free nats": ("planet, no free nats", "planner"),
    "planner, model of Dreamer V1": ("dreamer-v1", "planner"),
    "planner, model of Dreamer V2": ("dreamer-v2", "planner"),
}


@dataclass(frozen=True, kw_only=True)
class Parts(Finished):
    """What is measured.

    Attributes:
        updates: Gradient steps of a model that is trained anew.
        planner: The planner of all models.
        actor_critic: Actor and critic that learn in the kept world from nothing.
    """

    root: Path = Path("runs/parts")
    settings: tuple[str, ...] = tuple(SETTINGS)
    updates: int = 1500
    planner: PlannerConfig = PlannerConfig(iterations=4, candidates=100, elites=10)
    actor_critic: dreamenv.ActorCriticConfig = dreamenv.ActorCriticConfig(
        gamma=0.97, value_unit=50.0, least_return_range=1.0, net_arch=(200, 200), box="truncated-normal"
    )
    ppo: dreamenv.PPOConfig = replace(
        dreamenv.PPOConfig(), timesteps=800_000, normalize_reward=True, branched_starts=0.7, gamma=0.97
    )

    depends = ("real_episodes", "updates", "planner", "actor_critic", "ppo")
    layout = Layout(
        name="parts",
        keys={"setting": "what is swapped"},
        columns={
            **cells(spread, {"dream greedy": "dream", "validation greedy": "real, validation"}),
            **cells(lambda seconds: span(seconds, 0), {"seconds": "seconds of training"}),
            **cells(first("{}"), {"updates": "updates of the model"}),
        },
        places={"dream greedy": "dream, greedy", "validation greedy": "real, greedy"},
        labels=("part", "mean return"),
    )

    def make(self, setting: str, seed: int) -> Row:
        """Trains what is swapped, and scores it."""
        (model, behaviour), folder, begin = SETTINGS[setting], self.folder(setting, seed), time.process_time()
        world = dreamenv.load(self.source(seed)) if model == KEPT else self.world(model, folder, seed)
        agent = self.agent(world, behaviour, folder / "agent", seed)
        row: Row = {"seconds": time.process_time() - begin, "updates": None if model == KEPT else self.updates}
        row |= dream_scores(world, agent, self.real_episodes, temperature=1.0)
        return row | real_scores(world, agent, self.real_episodes, ("validation",), ("greedy",))

    def world(self, model: str, folder: Path, seed: int) -> dreamenv.World:
        """Trains a model on the loop's episodes."""
        learner = OnlineLearner(folder / "training", self.config(model, seed))
        store = EpisodeStore(self.source(seed) / "episodes")
        learner.learn(store, 0, self.updates)
        save(learner.complete_world(store), folder / "world")
        return dreamenv.load(folder / "world")

    def config(self, model: str, seed: int) -> OnlineConfig:
        """The small loop of PlaNet, whose behaviour does not learn, with this model."""
        name, _, change = model.partition(", ")
        joint, loop = dreamenv.online_config(name).joint, dreamenv.online_config("planet")
        if change:
            joint = replace(joint, free_nats=0.0)
        return replace(loop, model=dreamenv.online_config(name).model, joint=joint, seed=seed)

    def agent(self, world: dreamenv.World, behaviour: str, folder: Path, seed: int) -> Any:
        """The loop's own agent, or another one."""
        if behaviour == "own":
            return self.own_agent(seed)
        if behaviour == "planner":
            return Planner(world, self.planner)
        if behaviour == "PPO":
            return dreamenv.train_ppo(world, folder, replace(self.ppo, seed=seed))
        return dreamenv.train_actor_critic(world, folder, replace(self.actor_critic, seed=seed))
