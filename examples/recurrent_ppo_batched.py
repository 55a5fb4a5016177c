"""RecurrentPPO, of sb3-contrib, learns in many dreams that advance as one batch, then acts in reality."""

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.vec_env import VecMonitor

import dreamenv

TIMESTEPS = 500_000
NUM_ENVS = 64
EPISODES = 20

world = dreamenv.load("sidewalk")
dreams = dreamenv.DreamVectorEnv(world, NUM_ENVS, branched_starts=0.3, autoreset_mode=AutoresetMode.SAME_STEP)
model = RecurrentPPO("MlpLstmPolicy", VecMonitor(dreamenv.as_vec_env(dreams)), n_steps=64, batch_size=1024, seed=0)
with torch.no_grad():  # begin with the shares that the actions have in real episodes that ended well
    model.policy.action_net.bias += torch.tensor(world.config.action_prior).log()
model.learn(TIMESTEPS)

real = gym.make_vec("dreamenv:LatentSidewalk-v0", num_envs=4, autoreset_mode=AutoresetMode.DISABLED)
outcomes = list(dreamenv.rollout(real, model, range(80_000, 80_000 + EPISODES), deterministic=True))
returns = [outcome.episode_return for outcome in outcomes]
print(f"reality: mean return {sum(returns) / len(returns):.3f}, {len(returns)} episodes")
