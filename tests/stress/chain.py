"""The whole chain, run by test_determinism.py: `chain.py tiny FOLDER SEED` prints a sum of what every stage made."""

import dataclasses
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
from dot_env import HEIGHT, WIDTH

import dreamenv
from dreamenv import ActorCriticConfig, EvolveConfig, PPOConfig
from dreamenv.data.episodes import Episode
from dreamenv.data.store import EpisodeStore
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.real.make import make_real_vector
from dreamenv.real.spec import StoreSpec
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining

STEPS = 20


def sum_of(*parts):
    """SHA-256 over arrays, numbers and names."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()[:16]


def files_of(folder):
    """Contents of a world's or an agent's files, the records of CMA-ES included; not of checkpoints."""
    names = [name for name in sorted(os.listdir(folder)) if name.endswith((".safetensors", ".json"))]
    return [(folder / name).read_bytes() for name in names if not name.startswith("checkpoint")]


def episodes_of(env, seed):
    """All that an environment says in some steps of random actions."""
    env.action_space.seed(seed)
    said = [env.reset(seed=seed)[0]]
    for _ in range(STEPS):
        said += [np.asarray(part) for part in env.step(env.action_space.sample())[:4]]
    env.close()
    return said


def chain(folder, seed=0):
    """Runs every stage in ``folder``; the sum of each."""
    folder = Path(folder)
    store = dreamenv.collect(
        "dot_env:Dot-v0", folder / "episodes", dreamenv.CollectConfig(frames=600, num_envs=4, seed=seed)
    )
    training = dreamenv.TrainConfig(
        vision=VisionTraining(VisionConfig((HEIGHT, WIDTH, 3), 8, (16, 32)), FitConfig(steps=20), batch_size=32),
        memory=MemoryTraining(MemoryConfig(hidden_size=16, components=3), FitConfig(steps=20), batch_size=16),
        seed=seed,
    )
    world = dreamenv.train(folder / "world", training, episodes=folder / "episodes")
    small = {"num_envs": 16, "action_penalty": 0.1, "seed": seed}  # without it all dreams of so poor a world pay 0
    dreamenv.evolve(world, folder / "linear", EvolveConfig(generations=2, population=6, episodes=4, **small))
    ppo = dreamenv.train_ppo(world, folder / "ppo", PPOConfig(timesteps=512, n_steps=16, batch_size=64, **small))
    imagined = ActorCriticConfig(updates=12, num_envs=16, horizon=4, seed=seed)
    dreamenv.train_actor_critic(world, folder / "actor-critic", imagined)
    comparison = dreamenv.compare(world, ppo, dreamenv.CompareConfig((1.0,), episodes=6, seed=seed, num_envs=3))
    real = make_latent_vector(world, 3)
    return {
        "collecting": sum_of(store.shard_names),
        "training V and M": sum_of(*files_of(folder / "world")),
        "CMA-ES": sum_of(*files_of(folder / "linear")),
        "PPO": sum_of(*files_of(folder / "ppo")),
        "actor-critic": sum_of(*files_of(folder / "actor-critic")),
        "dreams": sum_of(*episodes_of(dreamenv.DreamVectorEnv(world, 5, branched_starts=0.5, dropout=0.1), seed)),
        "a single dream": sum_of(*episodes_of(dreamenv.DreamVectorEnv(world, 1), seed)),
        "real episodes": sum_of(*episodes_of(real, seed)),
        "scores": sum_of([dataclasses.astuple(score) for score in comparison.scores]),
    }


def chain_of_full_size(folder, seed=0):
    """The same for tensors of the shipped world's sizes, which torch divides among threads."""
    folder = Path(folder)
    generator = np.random.default_rng(seed)
    store = EpisodeStore.create(folder / "episodes", StoreSpec("Any-v0", (60, 80, 3), ActionSpec(n=3)))
    store.append([noise_episode(generator, number) for number in range(20)])
    for precision in ("float32", "bfloat16"):
        fit = FitConfig(steps=2, precision=precision)
        training = dreamenv.TrainConfig(VisionTraining(fit=fit), MemoryTraining(fit=fit), seed=seed)
        dreamenv.train(folder / precision, training, episodes=folder / "episodes")
    shipped = dreamenv.load("sidewalk")
    small = EvolveConfig(generations=1, population=16, episodes=4, num_envs=64, evaluation_every=2, seed=seed)
    dreamenv.evolve(shipped, folder / "linear", small)
    few = PPOConfig(timesteps=1024, n_steps=16, num_envs=64, batch_size=256, n_epochs=1, seed=seed)
    dreamenv.train_ppo(shipped, folder / "ppo", few)
    return {
        "training V and M, float32": sum_of(*files_of(folder / "float32")),
        "training V and M, bfloat16": sum_of(*files_of(folder / "bfloat16")),
        "CMA-ES in the shipped world": sum_of(*files_of(folder / "linear")),
        "PPO in the shipped world": sum_of(*files_of(folder / "ppo")),
        **{f"{n} dreams": sum_of(*episodes_of(dreamenv.DreamVectorEnv(shipped, n), seed)) for n in (1, 16, 256)},
        "invariant dreams": sum_of(*episodes_of(dreamenv.DreamVectorEnv(shipped, 40, batch_invariant=True), seed)),
        "Sidewalk's frames": sum_of(*episodes_of(make_real_vector(shipped.config.env_id, 2), seed)),
        "Sidewalk seen by V and M": sum_of(*episodes_of(make_latent_vector(shipped, 2), seed)),
    }


def noise_episode(generator, number, length=40):
    return Episode(
        observations=generator.integers(0, 256, (length + 1, 60, 80, 3), dtype=np.uint8),
        actions=generator.integers(0, 3, length),
        rewards=np.eye(1, length, length - 1, dtype=np.float32)[0],
        terminated=True,
        truncated=False,
        seed=number,
        policy="",
    )


if __name__ == "__main__":
    stages = {"tiny": chain, "full": chain_of_full_size}[sys.argv[1]]
    print(json.dumps(stages(sys.argv[2], int(sys.argv[3]))))
