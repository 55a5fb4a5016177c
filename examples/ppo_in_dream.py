"""PPO learns in one dream, as in any Gymnasium environment, and is then evaluated in reality.

A single dream is the simplest way, not the fastest: see a2c_batched.py, or the command `dreamenv ppo`.
"""

import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

TIMESTEPS = 200_000
EPISODES = 20

dream = gym.make("dreamenv:DreamSidewalk-v0", temperature=1.15)
agent = PPO("MlpPolicy", dream, ent_coef=0.005, seed=0)
agent.learn(TIMESTEPS)

for name, env in (("dream", dream), ("reality", gym.make("dreamenv:LatentSidewalk-v0"))):
    mean, deviation = evaluate_policy(agent, Monitor(env), EPISODES, deterministic=False)
    print(f"{name}: mean return {mean:.3f}, standard deviation {deviation:.3f}, {EPISODES} episodes")
