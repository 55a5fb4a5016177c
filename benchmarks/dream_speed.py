"""Speed of the dream: steps a second through DreamVectorEnv, beside the rate of this machine's matrix products.

Run `python benchmarks/dream_speed.py [WORLD]`; WORLD is a name or a folder, sidewalk by default. One thread. Times
differ between machines. The last columns travel better: which share of the rate of matrix products, measured in the
same run, becomes steps, and which share of a step goes into random numbers.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from tabulate import tabulate

import dreamenv
from dreamenv.envs.streams import NoiseStreams

SIZES = (1, 64, 256, 1024)
SECONDS = 3.0


def rate(call: Callable[[], object], seconds: float) -> float:
    """Calls per second: the best of five rounds, so that other work on the machine disturbs little."""
    call()
    best = 0.0
    for _ in range(5):
        calls, begin = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < seconds / 5:
            call()
            calls += 1
        best = max(best, calls / elapsed)
    return best


def operations_per_step(world: dreamenv.World) -> int:
    """Two per weight of the matrices that every step multiplies by: 3.36 million for z 64, h 512, 5 Gaussians."""
    lstm = ("lstm.weight_ih_l0", "lstm.weight_hh_l0")
    heads = ("mixture.weight", "endings.linear.weight", "reward.linear.weight")
    return 2 * sum(world.memory.get_parameter(name).numel() for name in lstm + heads)


def matrix_rate(seconds: float, size: int = 1024) -> float:
    """Floating point operations per second of a float32 matrix product."""
    left, right = torch.rand(size, size), torch.rand(size, size)
    return rate(lambda: left @ right, seconds) * 2 * size**3


def dream_rate(world: dreamenv.World, num_envs: int, seconds: float) -> float:
    """Environment steps per second with random actions, resets included."""
    env = dreamenv.DreamVectorEnv(world, num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(64)]
    env.reset(seed=0)
    step = 0

    def call() -> None:
        nonlocal step
        env.step(actions[step % len(actions)])
        step += 1

    return rate(call, seconds) * num_envs


def noise_rate(world: dreamenv.World, num_envs: int, seconds: float) -> float:
    """Steps per second if a step were its random numbers only."""
    streams, rows = NoiseStreams(num_envs, world.latent_size), np.arange(num_envs)
    return rate(lambda: streams.draw(rows), seconds) * num_envs


def main(name: str = "sidewalk", sizes: tuple[int, ...] = SIZES, seconds: float = SECONDS) -> None:
    torch.set_num_threads(1)
    world = dreamenv.load(name)
    operations, machine = operations_per_step(world), matrix_rate(seconds)
    rows = []
    for num_envs in sizes:
        steps, noise = dream_rate(world, num_envs, seconds), noise_rate(world, num_envs, seconds)
        rows.append((num_envs, f"{steps:,.0f}", f"{steps * operations / machine:.2f}", f"{steps / noise:.2f}"))
    print(f"{world}\n{operations / 1e6:.2f} MFLOP a step; float32 matrix product {machine / 1e9:.0f} GFLOP/s")
    print(tabulate(rows, ("dreams", "steps/s", "of matrix rate", "random numbers"), disable_numparse=True))


if __name__ == "__main__":
    main(*sys.argv[1:2])
