"""A kind of agent of your own: an agent that repeats one action, trained by a try of each action in the dream."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import dreamenv
from dreamenv.agents.dreams import DreamConfig, make_dreams
from dreamenv.agents.registry import register_agent
from dreamenv.agents.store import AgentConfig, save_agent


class Always:
    """Repeats one action."""

    def __init__(self, action):
        self.action = action

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        """Chooses the same action for each of (B, F) observations, or for one of (F,)."""
        actions = np.full(len(np.atleast_2d(observation)), self.action)
        return (actions if np.ndim(observation) > 1 else actions[0]), state


@dataclass(frozen=True, kw_only=True)
class AlwaysConfig(DreamConfig):
    """Settings of the training, beside those of every training in dreams."""

    episodes: int = 20


def train_always(world, folder, settings, source):
    """Tries each action in the dream and saves the best."""
    env = make_dreams(world, settings, "Disabled")
    seeds = range(settings.seed, settings.seed + settings.episodes)

    def mean_return(action):
        return np.mean([outcome.episode_return for outcome in dreamenv.rollout(env, Always(action), seeds)])

    best = max(range(world.config.action.n), key=mean_return)
    save_agent(folder, AgentConfig.of("always", world), {"action": torch.tensor(best)})
    return Always(best)


def read_always(config, tensors):
    """Builds the agent from its files."""
    return Always(int(tensors["action"]))


register_agent("always", read=read_always, settings=AlwaysConfig, train=train_always)


def main(folder: Path) -> None:
    """Trains the agent in a dream of Sidewalk, and loads it."""
    train_always(dreamenv.load("sidewalk"), folder, AlwaysConfig(num_envs=20), None)
    print("best action:", dreamenv.load_agent(folder).action)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
