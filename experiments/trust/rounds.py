"""Do rounds help? Narrow exploration cured by what the dream's agents meet, and many frames at once against rounds.

Rounds are judged, and kept, on validation seeds; the agent that is kept in the end is scored on test seeds. One pass of
as many frames is in `trust.frontier`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import dreamenv
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.training.rssm import RSSMTraining
from experiments.runner import Study
from experiments.show import Layout, Row, cells, grouped, spread
from experiments.worlds import ENV, PPO, facts, identity, real_scores

NARROW = dreamenv.ExplorationConfig(
    bump_and_turn=0.8,
    preference=0.2,
    sticky=0.0,
    noise=(0.0, 0.05, 0.05, 0.15),
    preference_strength=(2.5, 2.5),
    patience=(0,),
)
SETTINGS: dict[str, dreamenv.IterateConfig] = {
    "narrow, then rounds": dreamenv.IterateConfig(
        frames=40_000,
        rounds=4,
        round_frames=5_000,
        target=0.97,
        ppo=PPO,
        collect=dreamenv.CollectConfig(exploration=NARROW),
    ),
    "20,000 in three passes": dreamenv.IterateConfig(
        frames=9_000,  # and twice 4,800, as every pass has what fills its last shard on top
        rounds=2,
        round_frames=4_800,
        ppo=PPO,
        collect=dreamenv.CollectConfig(shard_episodes=8),
    ),
}
SETTINGS["20,000 in three passes, categorical RSSM and actor-critic"] = replace(
    SETTINGS["20,000 in three passes"],
    agent="actor-critic",
    train=RSSMTraining(model=RSSMConfig(latent="categorical", latent_size=32, classes=16)),
)


def by_round(rounds: list[list[Row]]) -> str:
    """Scores of every round in reality."""
    return ", ".join(spread([one["real"]]) for one in rounds[0])


@dataclass(frozen=True, kw_only=True)
class Rounds(Study):
    """What is measured."""

    root: Path = Path("runs/rounds")
    settings: tuple[str, ...] = tuple(SETTINGS)
    episodes: int = 100

    layout = Layout(
        name="rounds",
        keys={"setting": "setting", "seed": "seed"},
        columns={
            **cells(lambda rounds: f"{rounds[0][-1]['frames']:,}", {"rounds": "frames"}),
            **cells(by_round, {"rounds": "validation, greedy, by round"}),
            **cells(spread, {"test greedy": "kept: test, greedy", "test sampling": "kept: test, sampling"}),
        },
    )

    def measure(self, setting: str, seed: int) -> Row:
        """Goes through all rounds, and scores what is kept."""
        config = replace(SETTINGS[setting], seed=seed, episodes=self.episodes)
        rounds = dreamenv.iterate(ENV, self.folder(setting, seed), config)
        judged = [{"frames": one.frames, "dream": facts(one.dream), "real": facts(one.real)} for one in rounds]
        return {**super().measure(setting, seed), "rounds": judged}

    def made_with(self, setting: str, seed: int) -> dict[str, Any]:
        return {"world": identity(self.folder(setting, seed)), "episodes": self.episodes}

    def make(self, setting: str, seed: int) -> Row:
        folder = self.folder(setting, seed)
        agent = dreamenv.load_agent(folder / "agents" / SETTINGS[setting].agent)
        return real_scores(dreamenv.load(folder), agent, self.episodes)

    def report(self, rows: list[Row]) -> None:
        self.show(rows)
        plot(rows, self.root / "rounds.png")


def plot(rows: list[Row], path: Path) -> None:
    """Success by real frames, greedy, on validation seeds: a line for each seed in reality, one in its dream."""
    groups = grouped(rows, "setting")
    figure = Figure(figsize=(5.5 * len(groups), 4.2), layout="constrained")
    for axes, ((name,), of) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        for row in of:
            frames = [one["frames"] for one in row["rounds"]]
            for place, style in (("real", "-o"), ("dream", ":")):
                success = [one[place]["success"] for one in row["rounds"]]
                axes.plot(frames, success, style, color=f"C{row['seed']}", label=f"seed {row['seed']}, {place}", ms=4)
        axes.axhline(SETTINGS[name].target, color="black", lw=0.8)
        axes.set(xlabel="real frames", ylabel="success rate, greedy", title=name, ylim=(0.0, 1.03))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)
