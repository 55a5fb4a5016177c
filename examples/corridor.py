"""A tiny environment of one's own, for own_environment.py; importing this module registers it."""

import gymnasium as gym
import numpy as np


class Corridor(gym.Env):
    """A red dot moves left or right: the green end of the corridor is the goal, the other one a pit."""

    observation_space = gym.spaces.Box(0, 255, (16, 32, 3), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal = 7 * int(self.np_random.integers(2))
        self.position = int(self.np_random.integers(2, 6))
        return self.frame(), {}

    def step(self, action):
        self.position += 2 * int(action) - 1
        return self.frame(), float(self.position == self.goal), self.position in (0, 7), False, {}

    def frame(self):
        frame = np.full((2, 8, 3), 40, np.uint8)
        frame[0, self.goal], frame[1, self.position] = (0, 200, 0), (220, 0, 0)
        return frame.repeat(8, axis=0).repeat(4, axis=1)


gym.register("Corridor-v0", Corridor, max_episode_steps=20)
