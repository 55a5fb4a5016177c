"""Whether a change of the code moved a number: digests of what shipped worlds and agents do on fixed seeds.

Record before the change, and compare after it, on the same machine: other processors round otherwise.

    python -m benchmarks.identity --out before.json
    python -m benchmarks.identity --out after.json --against before.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from tabulate import tabulate

import dreamenv

WORLDS = ("sidewalk", "takecover")
AGENTS = ("sidewalk/linear", "sidewalk/ppo", "takecover/ppo")
STEPS, SEED = 200, 80_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the digests go, as JSON")
    parser.add_argument("--against", type=Path, help="digests to compare with")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    digests = {name: digest(arrays) for name, arrays in everything()}
    arguments.out.write_text(json.dumps(digests, indent=2) + "\n")
    if arguments.against is None:
        return 0
    before = json.loads(arguments.against.read_text())
    rows = [
        (name, before.get(name, "-")[:12], found[:12], before.get(name) == found) for name, found in digests.items()
    ]
    print(tabulate(rows, headers=("what", "before", "after", "same bits"), tablefmt="github"))
    return int(digests != before)


def everything() -> Iterator[tuple[str, Iterable[NDArray]]]:
    for world in WORLDS:
        for num_envs in (1, 64):
            yield f"{world}, {num_envs} dreams", dreams(world, num_envs)
            yield (
                f"{world}, {num_envs} dreams, branched, temperatures drawn",
                dreams(world, num_envs, temperature=(0.5, 1.3), branched_starts=0.5),
            )
        yield f"{world}, 3 dreams, dropout", dreams(world, 3, dropout=0.2)
        yield f"{world}, 33 dreams, batch-invariant", dreams(world, 33, batch_invariant=True)
        yield f"{world}, frames of a dream", drawn(world)
    for agent in AGENTS:
        yield f"{agent}, 64 dreamed episodes", scores(agent)
    yield "sidewalk, reality seen by the world", reality("LatentSidewalk-v0")
    yield "sidewalk/ppo, 8 real episodes", real_scores("sidewalk/ppo")


def dreams(world: str, num_envs: int, **settings: object) -> Iterator[NDArray]:
    env = dreamenv.DreamVectorEnv(world, num_envs, **settings)  # type: ignore[arg-type]
    generator = np.random.default_rng(0)
    observation, info = env.reset(seed=SEED)
    yield from (observation, info["temperature"])
    for _ in range(STEPS):
        actions = generator.integers(env.single_action_space.n, size=num_envs)  # type: ignore[attr-defined]
        *arrays, info = env.step(actions)
        yield from (*arrays, info["temperature"])


def drawn(world: str) -> Iterator[NDArray]:
    env = dreamenv.DreamVectorEnv(world, 2, render_mode="rgb_array")
    env.reset(seed=SEED)
    for _ in range(5):
        env.step(np.zeros(2, np.int64))
        frames = env.render()
        assert frames is not None
        yield from frames


def scores(name: str) -> Iterator[NDArray]:
    env = dreamenv.DreamVectorEnv(name.partition("/")[0], 64, autoreset_mode=AutoresetMode.DISABLED)
    yield from outcomes(env, name)


def reality(name: str) -> Iterator[NDArray]:
    env = gym.make(f"dreamenv:{name}")
    generator = np.random.default_rng(0)
    yield env.reset(seed=SEED)[0]
    for _ in range(100):
        observation, reward, terminated, truncated, _ = env.step(generator.integers(3))
        yield from (observation, np.array([reward, terminated, truncated]))
        if terminated or truncated:
            yield env.reset()[0]
    env.close()


def real_scores(name: str) -> Iterator[NDArray]:
    env = gym.make_vec("dreamenv:LatentSidewalk-v0", 4, autoreset_mode=AutoresetMode.DISABLED)
    yield from outcomes(env, name)
    env.close()


def outcomes(env: gym.vector.VectorEnv, name: str) -> Iterator[NDArray]:
    agent = dreamenv.load_agent(name)
    seeds = range(SEED, SEED + 2 * env.num_envs)
    for outcome in dreamenv.rollout(env, agent, seeds, deterministic=True):
        yield np.array([outcome.seed, outcome.episode_return, outcome.length, outcome.terminated])


def digest(arrays: Iterable[NDArray]) -> str:
    total = sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
