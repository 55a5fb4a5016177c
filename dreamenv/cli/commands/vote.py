"""dreamenv vote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dreamenv.cli.output import say
from dreamenv.foundation.errors import SettingsError

if TYPE_CHECKING:
    from dreamenv.agents.vote import Member


@dataclass(frozen=True)
class Vote:
    """Make one agent of several that were trained alike but for their seed: their mean probabilities decide.

    Attributes:
        members: Folders of PPO agents, or of actor-critics, of one world.
        agent: Folder for the voting agent.
    """

    members: tuple[str, ...]
    agent: Path

    def run(self) -> None:
        """Loads the members and saves the voting agent."""
        from dreamenv.agents.store import check_kind
        from dreamenv.agents.vote import VotingAgent, save_vote

        check_kind(self.agent, "vote")
        save_vote(VotingAgent([_member(member) for member in self.members]), self.agent)
        say(f"{len(self.members)} agents vote in {self.agent}")


def _member(name: str) -> Member:
    from dreamenv.agents.load import load_agent
    from dreamenv.agents.vote import Member

    agent = load_agent(name)
    if not isinstance(agent, Member):
        raise SettingsError(
            f"expected agents of Stable-Baselines3, such as those of dreamenv ppo, or actor-critics; {name} is neither"
        )
    return agent
