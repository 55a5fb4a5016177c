"""Can other agents learn in the world that PlaNet or Dreamer learned? SB3's PPO and SAC, by the dream's temperature.

The worlds are those that `online.control` kept. Each agent is scored in the dream that it learned in, and in reality,
beside the loop's own behaviour; `trust` says whether to believe the dream.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import stable_baselines3

import dreamenv
from dreamenv.foundation.seeds import spawn_short
from experiments.online.finished import Finished
from experiments.show import Layout, Row, cells, first, span, spread
from experiments.worlds import dream_scores, real_scores

SETTINGS: dict[str, tuple[str, float | None]] = {  # kind of agent, temperature
    "own behaviour": ("own", None),
    "PPO at 0.5": ("PPO", 0.5),
    "PPO at 1": ("PPO", 1.0),
    "PPO at 1.5": ("PPO", 1.5),
    "SAC at 1": ("SAC", 1.0),
}
DREAMS = 32  # side by side in which SAC learns


@dataclass(frozen=True, kw_only=True)
class Dreams(Finished):
    """What is measured.

    Attributes:
        branched: Share of dreams that begin in the middle of a real episode.
        gamma: Discount of a decision.
        sac_steps: Dreamed steps of SAC, which makes one update for each step of its batch of dreams.
    """

    root: Path = Path("runs/dreams")
    settings: tuple[str, ...] = tuple(SETTINGS)
    branched: float = 0.7
    gamma: float = 0.97
    ppo: dreamenv.PPOConfig = replace(dreamenv.PPOConfig(), timesteps=800_000, normalize_reward=True)
    sac_steps: int = 640_000

    depends = ("real_episodes", "branched", "gamma", "ppo", "sac_steps")
    layout = Layout(
        name="dreams",
        keys={"setting": "agent"},
        columns={
            **cells(spread, {"dream greedy": "dream", "validation greedy": "real, validation", "test greedy": "test"}),
            **cells(first("{}"), {"verdict": "verdict, first seed"}),
            **cells(lambda seconds: span(seconds, 0), {"seconds": "seconds"}),
        },
        places={"dream greedy": "dream, greedy", "test greedy": "real, greedy"},
        labels=("agent", "mean return"),
    )

    def make(self, setting: str, seed: int) -> Row:
        """Trains an agent in a world, scores it and has its dream examined."""
        world, (kind, temperature) = dreamenv.load(self.source(seed)), SETTINGS[setting]
        begin = time.process_time()
        agent = self.agent(world, self.folder(setting, seed) / "agent", kind, temperature, seed)
        seconds = time.process_time() - begin
        store = dreamenv.EpisodeStore(self.source(seed) / "episodes")
        found = dreamenv.trust(world, agent, store, dreamenv.TrustConfig(temperature=temperature))
        scores = dream_scores(world, agent, self.real_episodes, temperature=temperature)
        scores |= real_scores(world, agent, self.real_episodes, ways=("greedy",))
        return {"seconds": seconds, "verdict": found.light, **scores}

    def agent(self, world: dreamenv.World, folder: Path, kind: str, temperature: float | None, seed: int) -> Any:
        """The loop's own agent, or a new one."""
        if kind == "own":
            return self.own_agent(seed)
        dream: dict[str, Any] = {"temperature": temperature, "branched_starts": self.branched}
        if kind == "PPO":
            return dreamenv.train_ppo(world, folder, replace(self.ppo, **dream, gamma=self.gamma, seed=seed))
        env = dreamenv.as_vec_env(dreamenv.DreamVectorEnv(world, DREAMS, **dream))
        model = stable_baselines3.SAC("MlpPolicy", env, gamma=self.gamma, seed=spawn_short(seed, "dreams"))
        return dreamenv.save_sb3(model.learn(self.sac_steps), folder, world)
