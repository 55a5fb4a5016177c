"""dreamenv vote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dreamenv.cli.output import say


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
        from dreamenv.agents.load import load_agent
        from dreamenv.agents.store import check_kind
        from dreamenv.agents.vote import VotingAgent, save_vote

        check_kind(self.agent, "vote")
        save_vote(VotingAgent([load_agent(member) for member in self.members]), self.agent)
        say(f"{len(self.members)} agents vote in {self.agent}")
