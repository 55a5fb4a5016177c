"""Speed of the dream, beside the rate of this machine's matrix products, which is its limit.

Run `python -m benchmarks.speed.dream`; `--help` lists the settings. Machines differ, and are seldom idle, so trust the
ratios: all that is compared takes turns in one run, and the best turn counts. Rates are per second of processor time,
one thread, but for the two threads, which are timed by the clock.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode
from tabulate import tabulate

import dreamenv
from dreamenv.agents.dreams import make_dreams
from dreamenv.agents.evolve import EvolveConfig, initial_parameters
from dreamenv.agents.population import Population
from dreamenv.config import build_model
from dreamenv.engine.packed import PackedMemory
from dreamenv.engine.products import EightBitProduct, MatrixProduct
from dreamenv.foundation.files import write_json
from dreamenv.foundation.processor import bfloat16_is_fast
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.rollouts import rollout

Calls = dict[str, Callable[[], object]]
Product = MatrixProduct | EightBitProduct
PRECISIONS = ("float32", *(["bfloat16"] if bfloat16_is_fast(torch.device("cpu")) else []))
DTYPES = (*PRECISIONS, "int8")
TARGETS = {"float32": 0.80, "bfloat16": 0.65}
SQUARE = 1024


@dataclass(frozen=True)
class Settings:
    """What is timed.

    Attributes:
        world: A name or a folder.
        sizes: Dreams in a batch.
        hidden: Sizes of h.
        turns: Per measurement.
        seconds: Of a turn.
        generations: Of evolution; 64 candidates, 16 episodes each.
        out: Takes all figures as JSON.
    """

    world: str = "sidewalk"
    sizes: tuple[int, ...] = (1, 16, 64, 256, 1024, 4096, 16384)
    hidden: tuple[int, ...] = (128, 256, 512, 1024, 2048)
    turns: int = 8
    seconds: float = 0.2
    generations: int = 3
    out: Path = Path("runs/speed.json")


def rates(calls: Calls, turns: int, seconds: float, clock: Callable[[], float] = time.process_time) -> dict[str, float]:
    """Calls per second, the best of the turns that they take."""
    best = dict.fromkeys(calls, 0.0)
    for turn in range(turns + 1):
        for name, call in calls.items():
            count, begin = 0, clock()
            while (elapsed := clock() - begin) < seconds or not count:
                call()
                count += 1
            if turn:  # the first warms up
                best[name] = max(best[name], count / elapsed)
    return best


def products(world: dreamenv.World, rows: int, dtype: torch.dtype) -> Callable[[], object]:
    """The two matrix products of a step, and nothing else."""
    maps = packed_maps(world, dtype)
    given = [(torch.rand(rows, one.shape[0]).to(one.dtype), torch.rand(rows, one.shape[1])) for one in maps]
    return torch.inference_mode()(lambda: [one.onto(start, x) for one, (start, x) in zip(maps, given, strict=True)])


def packed_maps(world: dreamenv.World, dtype: torch.dtype = torch.float32) -> tuple[Product, Product]:
    memory = PackedMemory(world.model.memory, dtype)  # type: ignore[arg-type]
    return memory.gates, memory.heads


def square(dtype: torch.dtype) -> Callable[[], object]:
    left, right = torch.randint(-9, 9, (2, SQUARE, SQUARE)).to(dtype)
    return (lambda: torch._int_mm(left, right)) if dtype is torch.int8 else (lambda: left @ right)


def operations(world: dreamenv.World) -> int:
    """Floating point operations of a step's products: 3.36 million for z 64, h 512, 5 Gaussians."""
    return 2 * sum(one.shape.numel() for one in packed_maps(world))


def stepping(world: dreamenv.World, num_envs: int, **kwargs: Any) -> Callable[[], object]:
    """One step of a batch with random actions, resets included."""
    env = dreamenv.DreamVectorEnv(world, num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(16)]
    env.reset(seed=0)
    step = 0

    def call() -> None:
        nonlocal step
        env.step(actions[step % len(actions)])
        step += 1

    return call


def by_size(world: dreamenv.World, settings: Settings) -> list[dict[str, Any]]:
    """Batches of growing size, in both types and batch-invariant, beside their own matrix products."""
    rows = []
    for num_envs in settings.sizes:
        calls: Calls = {name: stepping(world, num_envs, dtype=name) for name in DTYPES}
        calls["batch-invariant"] = stepping(world, num_envs, batch_invariant=True)
        block = min(num_envs, 256)
        calls |= {f"{name} products": products(world, block, getattr(torch, name)) for name in DTYPES}
        found = rates(calls, settings.turns, settings.seconds)
        sizes = {name: block if name.endswith("products") else num_envs for name in calls}
        rows.append({"dreams": num_envs, **{name: found[name] * sizes[name] for name in calls}})
    return rows


def limits(world: dreamenv.World, rows: list[dict[str, Any]], settings: Settings) -> dict[str, float]:
    """Steps per second if a step were its matrix products, at the best rate they were seen with anywhere."""
    done = rates({name: square(getattr(torch, name)) for name in DTYPES}, settings.turns, settings.seconds)
    squares = {name: done[name] * 2 * SQUARE**3 / operations(world) for name in DTYPES}
    return {name: max(squares[name], *(row[f"{name} products"] for row in rows)) for name in DTYPES}


def shares(rows: list[dict[str, Any]], best: dict[str, float]) -> list[dict[str, Any]]:
    """Every batch's rate beside the limit, and beside the products of as many rows."""
    names = [(f"{name} of {kind}", name, kind) for name in DTYPES for kind in ("limit", "products")]
    return [
        {"dreams": row["dreams"]}
        | {
            title: row[name] / (best[name] if kind == "limit" else row[f"{name} products"])
            for title, name, kind in names
        }
        for row in rows
    ]


def by_hidden_size(world: dreamenv.World, settings: Settings) -> list[dict[str, Any]]:
    """256 dreams in worlds of random weights with other sizes of h."""
    rows = []
    for size in settings.hidden:
        memory = dataclasses.replace(world.config.model.memory, hidden_size=size)
        config = dataclasses.replace(world.config, model=dataclasses.replace(world.config.model, memory=memory))
        model: Any = build_model(config)
        ending = model.memory.endings.linear
        torch.nn.init.zeros_(ending.weight)
        ending.bias.data = torch.tensor([5.0, *([0.0] * len(config.endings))])  # an ending in some hundred steps
        start = world.bank.branches
        nothing = torch.zeros(1, size)
        branches = State(start.z[:1], nothing, nothing, start.step[:1])
        other = dreamenv.World(config, model, StartBank(world.bank.first, branches))
        found = rates(
            {"step": stepping(other, 256), "products": products(other, 256, torch.float32)},
            settings.turns,
            settings.seconds,
        )
        env = dreamenv.DreamVectorEnv(other, 1)
        row = {"h": size, "MFLOP a step": operations(other) / 1e6, "steps/s": found["step"] * 256}
        rows.append({**row, "of products": found["step"] / found["products"], "bytes per dream": bytes_per_dream(env)})
    return rows


def bytes_per_dream(env: dreamenv.DreamVectorEnv) -> int:
    """State, random numbers drawn ahead, and an observation."""
    observation, _ = env.reset(seed=0)
    state = env.snapshot()
    tensors = (*state.state.parts, state.temperature)
    return (
        sum(t.nbytes for t in tensors) + state.streams.uniform.nbytes + state.streams.normal.nbytes + observation.nbytes
    )


def threads(world: dreamenv.World, settings: Settings) -> float:
    """How many times faster two threads are, by the clock."""
    call = stepping(world, 4096)
    calls: Calls = {str(count): lambda count=count: (torch.set_num_threads(count), call()) for count in (1, 2)}
    turns = 3 * settings.turns  # both cores are seldom free at once
    found = rates(calls, turns, 2 * settings.seconds, time.perf_counter)
    torch.set_num_threads(1)
    return found["2"] / found["1"]


def evolution(world: dreamenv.World, settings: Settings) -> list[dict[str, float]]:
    """Generations of CMA-ES, and what their dream steps cost in a batch that only steps."""
    config = EvolveConfig()
    env = make_dreams(world, config, AutoresetMode.DISABLED, tensors=True)
    generator = np.random.default_rng(0)
    start = initial_parameters(world)
    candidates = start + config.sigma * generator.standard_normal((config.population, len(start)))
    rows = []
    for generation in range(settings.generations):
        rate = (
            rates({"step": stepping(world, config.num_envs)}, settings.turns, settings.seconds)["step"]
            * config.num_envs
        )
        seeds = list(range(generation * config.episodes, (generation + 1) * config.episodes)) * config.population
        begin = time.process_time()
        policy = Population(candidates, world.config.action, config.episodes, 0, world.device)
        steps = sum(outcome.length for outcome in rollout(env, policy, seeds))
        seconds = time.process_time() - begin
        rows.append({"seconds": seconds, "steps": steps, "ratio": seconds * rate / steps})
    return rows


def profile(world: dreamenv.World) -> list[tuple[str, float]]:
    """Shares of a step of 256 dreams, the ten largest."""
    call = stepping(world, 256)
    with torch.profiler.profile() as found:
        for _ in range(50):
            call()
    events = found.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    shares = [(event.key, event.self_cpu_time_total / total) for event in events]
    return sorted(shares, key=lambda pair: -pair[1])[:10]


def main(settings: Settings) -> None:
    """Prints tables, and writes JSON."""
    torch.set_num_threads(1)
    world = dreamenv.load(settings.world)
    rows = by_size(world, settings)
    best = limits(world, rows, settings)
    print(f"{world}\n{operations(world) / 1e6:.2f} MFLOP a step; limits of this machine, in steps/s:")
    print(
        ", ".join(f"{name} {rate:,.0f} ({rate * operations(world) / 1e9:.0f} GFLOP/s)" for name, rate in best.items())
    )
    result: dict[str, Any] = {"limits": best, "sizes": rows, "shares": shares(rows, best)}
    print(tabulate(rows, headers="keys", floatfmt=",.0f", intfmt=","))
    print(tabulate(result["shares"], headers="keys", floatfmt=",.2f", intfmt=","))
    print(f"targets of the limit, from 256 dreams on: {TARGETS}; of the products, for one dream: 0.60")
    if "bfloat16" not in DTYPES:
        print("no bfloat16: this processor is faster in float32")
    result["hidden"] = by_hidden_size(world, settings)
    print(tabulate(result["hidden"], headers="keys", floatfmt=",.2f", intfmt=","))
    result["two threads"] = threads(world, settings)
    print(f"two threads: {result['two threads']:.2f} times one (target 1.7)")
    result["evolution"] = evolution(world, settings)
    print(tabulate(result["evolution"], headers="keys", floatfmt=",.2f", intfmt=","))
    print("target of the ratio of a generation to its dream steps: at most 1.3")
    result["profile"] = profile(world)
    print(tabulate(result["profile"], ("part of a step of 256 dreams", "share"), floatfmt=".3f"))
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(settings.out, result)


if __name__ == "__main__":
    main(tyro.cli(Settings))
