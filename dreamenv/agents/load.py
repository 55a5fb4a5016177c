"""Loading any agent, shipped or one's own."""

from __future__ import annotations

from pathlib import Path

from dreamenv.agents.linear import LinearAgent
from dreamenv.agents.sb3 import SB3Agent, read_sb3
from dreamenv.agents.store import read_agent, read_linear
from dreamenv.agents.vote import VotingAgent, read_vote

Agent = LinearAgent | SB3Agent | VotingAgent


def load_agent(name_or_path: str | Path) -> Agent:
    """Loads an agent.

    Args:
        name_or_path: ``"sidewalk/linear"``, ``"sidewalk/ppo"``, ``"takecover/linear"`` or ``"takecover/ppo"`` for those
            that ship with dreamenv, or a folder.

    Returns:
        An agent that answers Stable-Baselines3's ``predict``.

    Raises:
        BundleError: If it is missing, damaged, or not an agent; names the shipped ones.
    """
    config, tensors = read_agent(name_or_path)
    if config.kind == "linear":
        return read_linear(config, tensors)
    return read_vote(config, tensors) if config.kind == "vote" else read_sb3(config, tensors)
