"""What agents do in the first moments of dreams."""

from dreamenv import DreamVectorEnv


def greedy(agent, observation):
    return agent.predict(observation, deterministic=True)[0]


def observations_of(world, count=64):
    env = DreamVectorEnv(world, count)
    env.reset(seed=0)
    return env.step(env.action_space.sample())[0]
