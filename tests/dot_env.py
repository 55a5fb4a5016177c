"""A tiny real environment: a red dot on a line between a green goal and a pit, at thousands of steps a second."""

import gymnasium as gym
import numpy as np

HEIGHT, WIDTH, CELL = 16, 32, 4


class DotEnv(gym.Env):
    """The dot moves left, right, or stays; a green square shows at which end the goal is.

    Reaching the goal pays 1 - 0.2 * t / 20 and terminates, the other end terminates with reward 0, and 20 steps
    truncate. Going one way blindly wins half of the time.
    """

    metadata = {"render_modes": []}
    limit = 20

    def __init__(self, continuous: bool = False) -> None:
        self.observation_space = gym.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32) if continuous else gym.spaces.Discrete(3)
        self._continuous = continuous

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._cells = WIDTH // CELL
        self._goal = int(self.np_random.choice([0, self._cells - 1]))
        self._position = int(self.np_random.integers(2, self._cells - 2))
        self._time = 0
        return self._frame(), {}

    def step(self, action):
        move = int(np.sign(np.round(action[0]))) if self._continuous else (-1, 1, 0)[int(action)]
        self._position += move
        self._time += 1
        terminated = self._position in (0, self._cells - 1)
        reward = 1.0 - 0.2 * self._time / self.limit if self._position == self._goal else 0.0
        return self._frame(), reward, terminated, self._time >= self.limit, {}

    def _frame(self):
        frame = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        frame[:6, self._goal * CELL : (self._goal + 1) * CELL] = (0, 200, 0)
        frame[8:12, self._position * CELL : (self._position + 1) * CELL] = (220, 0, 0)
        return frame


class FragileDotEnv(DotEnv):
    """Fails in the second step of every seventh episode."""

    def reset(self, *, seed=None, options=None):
        self._fragile = seed is not None and seed % 7 == 3
        return super().reset(seed=seed, options=options)

    def step(self, action):
        if self._fragile and self._time == 1:
            raise OSError(f"episode {self._goal} lost")
        return super().step(action)


gym.register("Dot-v0", DotEnv)
gym.register("FragileDot-v0", FragileDotEnv)
gym.register("ContinuousDot-v0", DotEnv, kwargs={"continuous": True})
