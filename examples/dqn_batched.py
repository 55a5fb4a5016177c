"""DQN learns in a batch of dreams; then the same network acts in several real environments at once."""

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import VecMonitor

import dreamenv

TIMESTEPS = 300_000
NUM_ENVS = 64
LEARNING_STARTS = 10_000
EPISODES = 20

dreams = dreamenv.DreamVectorEnv("sidewalk", NUM_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
model = DQN(
    "MlpPolicy",
    VecMonitor(dreamenv.as_vec_env(dreams)),
    learning_starts=LEARNING_STARTS,
    train_freq=4,
    gradient_steps=8,
    batch_size=256,
    target_update_interval=500,
    exploration_fraction=0.3,
    seed=0,
)
model.learn(TIMESTEPS)

real = gym.make_vec("dreamenv:LatentSidewalk-v0", num_envs=4, autoreset_mode=AutoresetMode.DISABLED)
outcomes = list(dreamenv.rollout(real, model, range(80_000, 80_000 + EPISODES), deterministic=True))
returns = [outcome.episode_return for outcome in outcomes]
print(f"reality: mean return {sum(returns) / len(returns):.3f}, {len(returns)} episodes")
