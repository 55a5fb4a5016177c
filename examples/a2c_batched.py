"""A2C learns in many dreams that advance as one batch; its policy is saved, loaded and compared with reality."""

from pathlib import Path

import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3 import A2C
from stable_baselines3.common.vec_env import VecMonitor

import dreamenv

TIMESTEPS = 1_000_000
NUM_ENVS = 64
EPISODES = 20
FOLDER = Path("runs/a2c")

world = dreamenv.load("sidewalk")
dreams = dreamenv.DreamVectorEnv(world, NUM_ENVS, branched_starts=0.3, autoreset_mode=AutoresetMode.SAME_STEP)
model = A2C("MlpPolicy", VecMonitor(dreamenv.as_vec_env(dreams)), n_steps=8, ent_coef=0.005, seed=0)
with torch.no_grad():  # begin with the shares that the actions have in real episodes that ended well
    model.policy.action_net.bias += torch.tensor(world.config.action_prior).log()
model.learn(TIMESTEPS)
dreamenv.save_sb3(model, FOLDER, world)

agent = dreamenv.load_agent(FOLDER)  # safetensors, no pickle
settings = dreamenv.CompareConfig(temperatures=(1.0,), episodes=EPISODES, seed=80_000)
for score in dreamenv.compare(world, agent, settings, name="a2c").scores:
    print(f"{score.policy:16} {score.place:6} success {score.success:.2f}, mean return {score.mean:.3f}")
