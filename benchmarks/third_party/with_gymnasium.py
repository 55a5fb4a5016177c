"""Gymnasium: its checker on every registered id, all of its vectors, and wrappers that read the time limit."""

import warnings
from functools import partial

import gymnasium as gym
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import (
    NormalizeObservation,
    OrderEnforcing,
    RecordEpisodeStatistics,
    TimeAwareObservation,
    TimeLimit,
)
from outcome import expect, report

import dreamenv

IDS: dict[str, dict[str, str]] = {
    "DreamSidewalk-v0": {},
    "LatentSidewalk-v0": {},
    "Dream-v0": {"world": "sidewalk"},
    "Latent-v0": {"world": "sidewalk"},
    "DreamTakeCover-v0": {},
    "LatentTakeCover-v0": {},
    "TakeCover-v0": {},  # last: closing its window takes OpenGL from Miniworld in this process
}


def check_id(env_id: str) -> tuple[int, str]:
    env = gym.make(f"dreamenv:{env_id}", **IDS[env_id], disable_env_checker=True)
    while isinstance(env, OrderEnforcing | TimeLimit):  # what make adds; a latent environment is a wrapper itself
        env = env.env
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*is different from the unwrapped version")
        check_env(env)
    env.close()
    return 0, "check_env, no warning"


def check_vectors() -> tuple[int, str]:
    torch.set_num_threads(2)  # forked processes inherit threads that do not run in them
    steps = 0
    for mode in ("sync", "async", "vector_entry_point"):
        envs = gym.make_vec("dreamenv:DreamSidewalk-v0", num_envs=2, vectorization_mode=mode)
        envs.reset(seed=0)
        for _ in range(200):
            envs.step(envs.action_space.sample())
        envs.close()
        steps += 2 * 200
    return steps, "make_vec: sync, async, vector_entry_point"


def check_wrappers() -> tuple[int, str]:
    env = RecordEpisodeStatistics(NormalizeObservation(TimeAwareObservation(gym.make("dreamenv:DreamSidewalk-v0"))))
    steps = 0
    for seed in range(3):
        env.reset(seed=seed)
        done = False
        while not done:
            _, _, terminated, truncated, info = env.step(env.action_space.sample())
            done = terminated or truncated
        limit = dreamenv.load("sidewalk").config.max_episode_steps
        expect(info["episode"]["l"] <= limit, f"at most {limit} steps", info["episode"]["l"])
        steps += info["episode"]["l"]
    env.close()
    return int(steps), "TimeAwareObservation, NormalizeObservation, RecordEpisodeStatistics"


if __name__ == "__main__":
    checks = {f"Gymnasium, {env_id}": partial(check_id, env_id) for env_id in IDS}
    report("gymnasium", checks | {"Gymnasium, vectors": check_vectors, "Gymnasium, wrappers": check_wrappers})
