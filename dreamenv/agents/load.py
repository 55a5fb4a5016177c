"""Loads agents of any registered kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dreamenv.agents.registry import agent_kind
from dreamenv.agents.store import find_agent, read_agent
from dreamenv.bundle import CONFIG
from dreamenv.foundation.errors import BundleError, SettingsError


def load_agent(name_or_path: str | Path) -> Any:
    """Loads an agent.

    Args:
        name_or_path: ``"linear"`` or ``"ppo"`` after the name of a shipped world, such as ``"sidewalk/ppo"``,
            ``"sidewalk-rssm/ppo"`` or ``"takecover/linear"``; or a folder.

    Returns:
        An agent with Stable-Baselines3's ``predict``; its class depends on its kind: :class:`dreamenv.LinearAgent`,
        :class:`~dreamenv.agents.sb3.SB3Agent`, :class:`~dreamenv.agents.actor_critic.policy.ActorCriticAgent`,
        :class:`~dreamenv.agents.vote.VotingAgent`, or a registered one.

    Raises:
        BundleError: If it is missing, damaged, not an agent, or of a kind that is not registered; lists the shipped
            agents or the registered kinds.
    """
    config, tensors = read_agent(name_or_path)
    try:
        kind = agent_kind(config.kind)
    except SettingsError as error:
        path = find_agent(name_or_path) / CONFIG
        raise BundleError(f"{path} cannot be read: {error}; import the module that registers it first") from None
    return kind.read(config, tensors)
