"""RLlib: PPO on dreams, in its own vector and in the native one, and a worker process."""

from functools import partial

import gymnasium as gym
import ray
from outcome import expect, report
from ray.rllib.algorithms.ppo import PPOConfig

BATCH = 1000


def train(num_env_runners: int = 0, **options: object) -> tuple[int, str]:
    config = (
        PPOConfig()
        .environment("dreamenv:DreamSidewalk-v0")
        .env_runners(num_env_runners=num_env_runners, num_envs_per_env_runner=4, **options)
        .training(train_batch_size=BATCH, minibatch_size=250, num_epochs=2)
        .learners(num_learners=0)
    )
    algorithm = config.build_algo()
    for _ in range(2):
        result = algorithm.train()
    algorithm.stop()
    steps = int(result["num_env_steps_sampled_lifetime"])
    episodes = result["env_runners"]
    expect(steps >= 2 * BATCH, f"{2 * BATCH} steps", steps)
    # RLlib counts one step too many of an episode that begins in one iteration and ends in the next (Pendulum-v1: 201).
    expect(episodes["episode_len_max"] <= 151, "at most 151 steps", episodes["episode_len_max"])
    return steps, f"two iterations of PPO; longest episode {episodes['episode_len_max']:.0f} steps"


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    modes = (gym.VectorizeMode.SYNC, gym.VectorizeMode.VECTOR_ENTRY_POINT)
    checks = {f"RLlib, PPO, {mode.value}": partial(train, gym_env_vectorize_mode=mode) for mode in modes}
    report("ray", checks | {"RLlib, PPO, worker process": partial(train, num_env_runners=1)})
