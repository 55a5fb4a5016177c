"""A zoo of agents, honest and exploiting, in worlds good and bad: which signs tell them apart without reality?

Give it `--worlds` whose episodes are kept, and folders of `--agents` trained in them, those of `trust.temperature` for
instance. To every world it adds agents that stopped early, and one that exploits on purpose. It reads the signs of
`dreamenv trust` for all that see z and h, and plays 100 real episodes on validation seeds with each. Half of the zoo is
for choosing signs and limits, the other half is for the figures (`experiments/trust/judgement.py`).
"""

import functools
from dataclasses import dataclass, field
from pathlib import Path

import torch

import dreamenv
from dreamenv.agents.store import WEIGHTS, read_agent
from dreamenv.evaluate.scores import summarise
from dreamenv.foundation.errors import BundleError
from dreamenv.rollouts import Outcome
from dreamenv.verdict.judgement import LIMITS, believed
from dreamenv.verdict.signals import Records, novelty, read_records, shortfall
from dreamenv.verdict.trust import dream, signals
from experiments.runner import Job, Jobs, once, stored
from experiments.show import Layout, Row, cells, first
from experiments.trust.judgement import CANDIDATES, RIDGES, doubt, halves, judgement
from experiments.worlds import identity, real_scores

EXTRAS: dict[str, dreamenv.PPOConfig] = {
    **{f"{steps}-steps": dreamenv.PPOConfig(temperature=1.0, timesteps=steps) for steps in (50_000, 100_000, 200_000)},
    "exploit": dreamenv.PPOConfig(temperature=0.01, branched_starts=0.0, ent_coef=0.0),
}
Member = tuple[str, Path]  # an agent's name in the zoo, and its folder


@dataclass(frozen=True, kw_only=True)
class Zoo(Jobs):
    """What is measured.

    Attributes:
        worlds: Folders of worlds with their episodes.
        agents: Every agent in these folders and below that sees z and h of one of the worlds is in the zoo.
        extras: Which agents are added to every world; all by default.
        episodes: Dreamed, and real, per agent.
        trust: How a dream is examined.
    """

    root: Path = Path("runs/zoo")
    worlds: tuple[Path, ...]
    agents: tuple[Path, ...] = ()
    extras: tuple[str, ...] = tuple(EXTRAS)
    episodes: int = 100
    trust: dreamenv.TrustConfig = field(default_factory=dreamenv.TrustConfig)

    layout = Layout(
        name="zoo",
        keys={"world": "world", "agent": "agent"},
        columns={
            **cells(first("{[mean]:.3f}"), {"validation greedy": "real"}),
            **cells(first("{:.3f}"), ("dream", *LIMITS, *CANDIDATES)),
            "doubt": lambda rows: f"{doubt(rows[0]):.2f}",
        },
    )

    def jobs(self) -> list[Job]:
        return [(world, member) for world in self.worlds for member in self.members(world)]

    def members(self, world: Path) -> list[Member]:
        """All agents of one world: those found, each once, though there may be copies, and those the zoo adds."""
        own = identity(world)
        found: dict[bytes, Member] = {}
        for base in self.agents:
            for path in sorted(base.rglob(WEIGHTS)):
                if belongs(path.parent, own):
                    found.setdefault(path.read_bytes(), (name_of(path.parent), path.parent))
        return [*found.values(), *((name, self.home(world) / name) for name in self.extras)]

    def home(self, world: Path) -> Path:
        """What the zoo adds to a world."""
        return self.root / name_of(world)

    def measure(self, world_folder: Path, member: Member) -> Row:
        """Reads one agent's signs and plays it in reality; trains it if the zoo adds it."""
        place, (name, agent_folder) = self.home(world_folder), member

        def make() -> Row:
            world = dreamenv.load(world_folder)
            if agent_folder.parent == place:
                agent = dreamenv.train_ppo(world, agent_folder, EXTRAS[name])
            else:
                agent = dreamenv.load_agent(agent_folder)
            outcomes = dream(world, agent, self.trust)
            dreamed = summarise(outcomes, world.config, name="greedy", temperature=1.0)
            records, worst = recorded(world_folder)
            signs = signals(world, agent, records, outcomes, self.trust)
            return {
                "world": place.name,
                "agent": name,
                "dream": dreamed.mean,
                "dream length": dreamed.length,
                **reality(world, agent, agent_folder, self.episodes),
                **signs,
                "believed": believed(dreamed.mean, signs["shortfall"], worst),
                **candidates(world, agent, records, outcomes, self.trust),
            }

        made_with = {"world": identity(world_folder), "episodes": self.episodes, "trust": self.trust}
        return once(place / f"{name}.zoo.json", make, **made_with)

    def report(self, rows: list[Row]) -> None:
        self.show(rows)
        for name, half in zip(("for choosing", "for judging"), halves(rows), strict=True):
            print(f"\nThe half {name}: {judgement(half)}")


def belongs(folder: Path, world: str) -> bool:
    """Whether it is an agent of this world that sees z and h."""
    try:
        config = read_agent(folder)[0]
    except BundleError:
        return False
    return config.world == world and config.inputs == ("z", "h")


def name_of(folder: Path) -> str:
    return "-".join(part for part in folder.parts if part not in ("/", "runs"))


@functools.lru_cache(maxsize=1)
def recorded(world: Path) -> tuple[Records, float]:
    """The records of a world's episodes, and the smallest return in those that it learned from."""
    seen, held_out = dreamenv.EpisodeStore(world / "episodes").split()
    return read_records(dreamenv.load(world), seen, held_out), min(float(episode.rewards.sum()) for episode in seen)


def reality(world: dreamenv.World, agent: dreamenv.Policy, folder: Path, episodes: int) -> Row:
    """Scores on validation seeds; those that another study left beside the agent, of as many episodes, if there are."""
    path = folder / "scores.json"
    row, made_with = stored(path) if path.exists() else ({}, {})
    if episodes not in (made_with.get("episodes"), made_with.get("real_episodes")):
        return real_scores(world, agent, episodes, ("validation",))
    return {name: facts for name, facts in row.items() if name.startswith("validation")}


def candidates(
    world: dreamenv.World,
    agent: dreamenv.Policy,
    records: Records,
    outcomes: list[Outcome],
    config: dreamenv.TrustConfig,
) -> dict[str, float]:
    """Signs that `dreamenv trust` does not use, to see whether it should."""
    visited = torch.cat([torch.from_numpy(o.trajectory.observations) for o in outcomes if o.trajectory is not None])
    errors = [round_trip(world, part) for part in (visited, records.held_out)]
    found = {"round trip": errors[0] / errors[1], "novelty": float(novelty(world, records, visited).mean())}
    for ridge in RIDGES:
        found[f"shortfall, ridge {ridge:g}"] = shortfall(
            world, agent, records, outcomes, gamma=config.discount(world.config.max_episode_steps), ridge=ridge
        )
    return found


@torch.inference_mode()
def round_trip(world: dreamenv.World, states: torch.Tensor) -> float:
    """Root mean square distance of z from what V sees in the frames decoded from it: is it blurred, or impossible?"""
    some = torch.randperm(len(states), generator=torch.Generator().manual_seed(0))[:2000]
    z = states[some, : world.model.latent_size]
    vision = world.model.vision
    seen = torch.cat([vision.encode_pixels(vision.decode_pixels(part))[0] for part in z.split(256)])
    return float((seen - z).square().mean().sqrt())
