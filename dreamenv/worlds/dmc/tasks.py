"""The tasks of PlaNet, as a table, and their registration with Gymnasium."""

from __future__ import annotations

from typing import NamedTuple

import gymnasium as gym

STEPS = 1000  # environment steps of an episode


class ControlTask(NamedTuple):
    """A task of the suite.

    Attributes:
        domain: What is controlled.
        task: What is rewarded.
        action_repeat: Environment steps for which an action is held (Hafner et al. 2019, appendix).
    """

    domain: str
    task: str
    action_repeat: int


TASKS = {  # name of the id -> task
    "CartpoleSwingup": ControlTask("cartpole", "swingup", 8),
    "CartpoleBalance": ControlTask("cartpole", "balance", 8),
    "ReacherEasy": ControlTask("reacher", "easy", 4),
    "CheetahRun": ControlTask("cheetah", "run", 4),
    "FingerSpin": ControlTask("finger", "spin", 2),
    "CupCatch": ControlTask("ball_in_cup", "catch", 4),
    "WalkerWalk": ControlTask("walker", "walk", 2),
}


def register() -> None:
    """Registers the tasks of the table, with the time limit in decisions, and the id for any task of the suite."""
    for name, task in TASKS.items():
        gym.register(
            f"{name}-v0",
            "dreamenv.worlds.dmc.real:make_published",
            max_episode_steps=STEPS // task.action_repeat,
            kwargs={"name": name},
        )
    gym.register("DMC-v0", "dreamenv.worlds.dmc.real:ControlEnv")
