"""Kinds of endings, classified by the reward of the last step: the only notion of success in the package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from dreamenv.data.episodes import Episode

Kind = Literal["continues", "worse", "same", "better"]


def kind_of(terminated: bool, final_reward: float, ordinary_reward: float, tolerance: float = 1e-6) -> Kind:
    """Classifies one ending.

    Args:
        terminated: Whether the environment ended the episode. Truncation is not an ending.
        final_reward: Reward of the last step.
        ordinary_reward: Median reward of steps that do not end an episode.
        tolerance: Largest difference that counts as equal.

    Returns:
        ``"continues"`` if not terminated; else ``"worse"``, ``"same"`` or ``"better"``: the final reward compared with
        the ordinary one. A goal is better; a fall without a penalty is the same.
    """
    if not terminated:
        return "continues"
    difference = final_reward - ordinary_reward
    return "same" if abs(difference) <= tolerance else "better" if difference > 0 else "worse"


def ordinary_reward(episodes: Iterable[Episode]) -> float:
    """Returns the median reward of all steps but the last of each episode; 0 if there are none."""
    rewards = [episode.rewards[:-1] for episode in episodes]
    everything = np.concatenate(rewards) if rewards else np.zeros(0)
    return float(np.median(everything)) if everything.size else 0.0


def ending_kinds(episodes: Iterable[Episode]) -> list[Kind]:
    """Classifies the ending of every episode."""
    episodes = list(episodes)
    ordinary = ordinary_reward(episodes)
    return [kind_of(episode.terminated, float(episode.rewards[-1]), ordinary) for episode in episodes]
