"""Kinds of endings, told apart by what they pay: the only notion of success in the package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from dreamenv.data.episodes import Episode

Kind = Literal["continues", "worse", "same", "better"]


def kind_of(terminated: bool, final_reward: float, ordinary_reward: float, tolerance: float = 1e-6) -> Kind:
    """Names the kind of one ending.

    Args:
        terminated: Whether the environment ended the episode; a truncated episode has no ending of its own.
        final_reward: Reward of the last step.
        ordinary_reward: Reward of a step that ends nothing (a median over many).
        tolerance: Differences up to this count as none.

    Returns:
        ``"continues"`` if not terminated; else whether the last step paid ``"worse"`` than, the ``"same"`` as or
        ``"better"`` than an ordinary one. A goal is better, a fall that only ends the episode is the same.
    """
    if not terminated:
        return "continues"
    difference = final_reward - ordinary_reward
    return "same" if abs(difference) <= tolerance else "better" if difference > 0 else "worse"


def ordinary_reward(episodes: Iterable[Episode]) -> float:
    """Median reward of all steps that are not the last of their episode; 0 if there are none."""
    rewards = [episode.rewards[:-1] for episode in episodes]
    everything = np.concatenate(rewards) if rewards else np.zeros(0)
    return float(np.median(everything)) if everything.size else 0.0


def ending_kinds(episodes: Iterable[Episode]) -> list[Kind]:
    """Names the kind of every episode's ending."""
    episodes = list(episodes)
    ordinary = ordinary_reward(episodes)
    return [kind_of(episode.terminated, float(episode.rewards[-1]), ordinary) for episode in episodes]
