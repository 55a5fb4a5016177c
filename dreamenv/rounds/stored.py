"""Rounds on disk: each is judged in reality when it is done, and the folder keeps the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dreamenv.bundle import copy_bundle
from dreamenv.evaluate.compare import CompareConfig, Comparison, compare
from dreamenv.evaluate.rounds import Round, best_round
from dreamenv.evaluate.tables import write_comparison
from dreamenv.foundation.errors import ResumeError
from dreamenv.foundation.files import write_json
from dreamenv.foundation.manifest import MANIFEST
from dreamenv.foundation.recipe import EnvRecipe
from dreamenv.foundation.seeds import SEEDING, VALIDATION_SEED
from dreamenv.rollouts import Policy
from dreamenv.world import World

RECORD, FRAMES, SECONDS = "comparison.json", "frames.json", "seconds.json"  # of a round


@dataclass(frozen=True)
class StoredRounds:
    """A folder with the best round's world and agent, and ``rounds/NN/`` with those of every round.

    Attributes:
        folder: The folder.
        agent: Name of the agent's folder.
        episodes: Real episodes in which a round's agent is judged, greedy, with seeds from 80,000 on.
    """

    folder: Path
    agent: str
    episodes: int

    def place(self, number: int) -> Path:
        """Folder of a round."""
        return self.folder / "rounds" / f"{number:02d}"

    def agent_in(self, place: Path) -> Path:
        """Folder of the agent of the world in ``place``."""
        return place / "agents" / self.agent

    def repeat(self, rounds: int, target: float, play: Callable[[list[Round]], tuple[World, Policy]]) -> list[Round]:
        """Plays rounds until there are ``rounds`` after the first, or one has the success rate ``target``.

        Args:
            rounds: Rounds after the first.
            target: Success rate of a round's greedy agent in reality.
            play: Plays the next round: from the rounds before, it makes a world and an agent, saves both in the
                round's place, and writes the number of real frames there (:meth:`note_frames`).

        Returns:
            All rounds that are finished, those of earlier calls included.
        """
        done = self._finished()
        if done:
            self._keep(best_round(done))
        while len(done) <= rounds and not any((one.real.success or 0.0) >= target for one in done):
            world, agent = play(done)
            done.append(self._judge(len(done), world, agent))
            self._keep(best_round(done))
        return done

    def note_frames(self, number: int, frames: int) -> None:
        """Writes how many real frames there are in a round."""
        write_json(self.place(number) / FRAMES, frames)

    def note_seconds(self, number: int, seconds: float) -> None:
        """Writes how much processor time a round took to collect and to train."""
        write_json(self.place(number) / SECONDS, seconds)

    def check_settings(self, name: str, env: EnvRecipe, settings: Mapping[str, Any]) -> None:
        """Writes the settings of all rounds to the file ``name``; compares them with what is there.

        Raises:
            ResumeError: If the folder belongs to other settings, or holds a world that was made without rounds.
        """
        path = self.folder / name
        made = {"env_id": env.id, "env_kwargs": env.kwargs, "wrappers": env.wrappers}
        named = {name: value for name, value in made.items() if value}  # as in files of before there were more than ids
        expected = TypeAdapter(dict).dump_python({**named, "seeding": SEEDING, **settings}, mode="json")
        if not path.exists():
            if (self.folder / MANIFEST).exists():
                raise ResumeError(f"{self.folder} holds a world that other commands made; choose another folder")
            write_json(path, expected)
        elif (found := TypeAdapter(dict).validate_json(path.read_bytes())) != expected:
            different = ", ".join(name for name in expected if found.get(name) != expected[name])
            raise ResumeError(f"{path} has another {different}; choose another folder, or go on with the same settings")

    def _finished(self) -> list[Round]:
        """The rounds of earlier calls."""
        done: list[Round] = []
        while (self.place(len(done)) / RECORD).is_file():
            done.append(self._read(len(done)))
        return done

    def _read(self, number: int) -> Round:
        place = self.place(number)
        comparison = TypeAdapter(Comparison).validate_json((place / RECORD).read_bytes())
        frames, seconds = TypeAdapter(int).validate_json((place / FRAMES).read_bytes()), None
        if (place / SECONDS).exists():
            seconds = TypeAdapter(float).validate_json((place / SECONDS).read_bytes())
        return Round(number, place, frames, comparison, seconds)

    def _judge(self, number: int, world: World, agent: Policy) -> Round:
        """Scores a round's agent in its dream and in reality, on the validation seeds."""
        place = self.place(number)
        settings = CompareConfig((world.config.temperature,), self.episodes, VALIDATION_SEED)
        name, baselines = str(self.agent_in(place)), self.folder / "baselines"
        write_comparison(compare(world, agent, settings, name=name, baselines=baselines, sampling=False), place)
        return self._read(number)

    def _keep(self, best: Round) -> None:
        copy_bundle(best.folder, self.folder)
        copy_bundle(self.agent_in(best.folder), self.agent_in(self.folder))
