"""Minari: records dreams, writes them as a data set and reads it again."""

import os
import tempfile

import gymnasium as gym
import numpy as np
from outcome import expect, report

EPISODES = 5


def record() -> tuple[int, str]:
    import minari  # reads MINARI_DATASETS_PATH

    env = minari.DataCollector(gym.make("dreamenv:DreamSidewalk-v0"))
    first = []
    for seed in range(EPISODES):
        observation, _ = env.reset(seed=seed)
        first.append(observation)
        done = False
        while not done:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            done = terminated or truncated
    env.create_dataset("dreamenv/sidewalk-v0")
    env.close()

    dataset = minari.load_dataset("dreamenv/sidewalk-v0")
    expect(dataset.total_episodes == EPISODES, EPISODES, dataset.total_episodes)
    for expected, episode in zip(first, dataset.iterate_episodes(), strict=True):
        expect(np.array_equal(expected, episode.observations[0]), "the first observations", "others")
    env = dataset.recover_environment()
    env.reset(seed=0)
    env.step(0)
    return int(dataset.total_steps), f"DataCollector, load_dataset, recover_environment; {EPISODES} episodes"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = folder
        report("minari", {"Minari": record})
