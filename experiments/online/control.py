"""Do PlaNet, Dreamer V1 and V2 learn their own tasks here? Online, from the first frame on, on the Control suite.

Rounds are judged, and kept, on validation seeds; the agent that is kept in the end is scored on test seeds, greedy. An
episode has 1,000 environment steps, so 100 episodes are the published budget of 100,000.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import dreamenv
from dreamenv.rounds.online_config import OnlineConfig
from experiments.runner import Study
from experiments.show import Layout, Row, cells, first, grouped, spread
from experiments.worlds import facts, identity, real_scores

SETTINGS: dict[str, OnlineConfig] = {
    "PlaNet": dreamenv.online_config("planet"),
    "Dreamer V1": dreamenv.online_config("dreamer-v1"),
    "Dreamer V2": dreamenv.online_config("dreamer-v2"),
}
PUBLISHED = {  # returns after 100,000 environment steps, full size (CURL's table 1; scores of Dreamer V2's authors)
    "CartpoleSwingup-v0": {"PlaNet": 297, "Dreamer V1": 326, "Dreamer V2": 387},
    "CartpoleBalance-v0": {"Dreamer V2": 803},
}


@dataclass(frozen=True, kw_only=True)
class Control(Study):
    """What is measured.

    Attributes:
        env: Task of the Control suite.
        updates: Gradient steps after every episode; those of the small loop if None.
        rounds: Rounds after the first; likewise.
    """

    root: Path = Path("runs/control")
    env: str = "CartpoleSwingup-v0"
    settings: tuple[str, ...] = tuple(SETTINGS)
    real_episodes: int = 10
    updates: int | None = None
    rounds: int | None = None

    layout = Layout(
        name="control",
        keys={"setting": "loop", "seed": "seed"},
        columns={
            **cells(lambda rounds: f"{rounds[0][-1]['frames']:,}", {"rounds": "frames"}),
            **cells(lambda rounds: f"{sum(one['seconds'] for one in rounds[0]):,.0f}", {"rounds": "seconds"}),
            **cells(lambda rounds: f"{max(one['real']['mean'] for one in rounds[0]):.0f}", {"rounds": "best round"}),
            **cells(spread, {"test greedy": "kept: test"}),
            **cells(first("{:.0f}"), {"published": "published, full size"}),
        },
    )

    def config(self, setting: str, seed: int) -> OnlineConfig:
        """The loop of a row."""
        given = {name: value for name in ("updates", "rounds") if (value := getattr(self, name)) is not None}
        return replace(SETTINGS[setting], seed=seed, **given)

    def measure(self, setting: str, seed: int) -> Row:
        """Learns, and scores what is kept."""
        learned = dreamenv.learn_online(f"dreamenv:{self.env}", self.folder(setting, seed), self.config(setting, seed))
        rounds = [
            {"frames": one.frames, "seconds": one.seconds, "dream": facts(one.dream), "real": facts(one.real)}
            for one in learned
        ]
        published = PUBLISHED.get(self.env, {}).get(setting)
        return {**super().measure(setting, seed), "rounds": rounds, "published": published}

    def made_with(self, setting: str, seed: int) -> dict[str, Any]:
        return {"world": identity(self.folder(setting, seed)), "real_episodes": self.real_episodes}

    def make(self, setting: str, seed: int) -> Row:
        folder = self.folder(setting, seed)
        (agent,) = (folder / "agents").iterdir()
        kept = dreamenv.load_agent(agent)
        return real_scores(dreamenv.load(folder), kept, self.real_episodes, ("test",), ("greedy",))

    def report(self, rows: list[Row]) -> None:
        self.show(rows)
        plot(rows, self.root / "control.png")


def plot(rows: list[Row], path: Path) -> None:
    """Returns of the rounds, greedy, on validation seeds: by environment steps, and by processor time."""
    figure = Figure(figsize=(11.0, 4.2), layout="constrained")
    by_steps, by_seconds = figure.subplots(1, 2, sharey=True)
    for number, ((name,), of) in enumerate(grouped(rows, "setting").items()):
        for row in of:
            returns = [one["real"]["mean"] for one in row["rounds"]]
            seconds = [sum(one["seconds"] for one in row["rounds"][: i + 1]) for i in range(len(returns))]
            look = {"color": f"C{number}", "ms": 3, "label": name if row is of[0] else None}
            by_steps.plot([one["frames"] for one in row["rounds"]], returns, "-o", **look)
            by_seconds.plot([second / 60 for second in seconds], returns, "-o", **look)
    by_steps.set(xlabel="real frames, after action repeat", ylabel="mean return, greedy")
    by_seconds.set(xlabel="processor minutes of collecting and training")
    for axes in (by_steps, by_seconds):
        axes.grid(alpha=0.3)
    by_steps.legend()
    figure.savefig(path, dpi=110)
