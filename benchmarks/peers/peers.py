"""Steps a second of the dream beside those of other libraries' world-model environments, of the same size.

Run `sh benchmarks/peers/run.sh`; README.md beside this file says what the contestants' steps do. One thread, float32.
Every contestant has a process of its own, so that none sees another's settings of torch. They are timed one at a time,
in turns. Seconds are those of the processor, which other work on the machine lengthens less than those of the clock,
and the best turn counts. Ratios are to the best peer of the same run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro
from tabulate import tabulate

from dreamenv.foundation.files import write_json

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PACKAGES = ("dreamenv", "gymnasium", "mbrl", "numpy", "simulusion", "tensordict", "torch", "torchrl")


@dataclass(frozen=True)
class Contestant:
    """What is timed.

    Attributes:
        name: For the table.
        module: The file beside this one that knows it.
        function: Takes N, and returns a function that advances N environments by one step.
        peer: The work of another library, to which ratios are taken.
        most: The largest N it is timed at.
    """

    name: str
    module: str
    function: str
    peer: bool = True
    most: int = 1_000_000


CONTESTANTS = (
    Contestant("dreamenv DreamVectorEnv", "dreams", "dream_vector_env", peer=False),
    Contestant("dreamenv DreamVectorEnv, int8", "dreams", "int8_dream_vector_env", peer=False),
    Contestant("gymnasium SyncVectorEnv of DreamEnv", "dreams", "sync_vector_env", peer=False, most=64),
    Contestant("simulusion MDRNNWorldModel.step", "with_simulusion", "world_model"),
    Contestant("simulusion WorldModelEnv", "with_simulusion", "world_model_env", most=64),
    Contestant("mbrl ModelEnv", "with_mbrl", "model_env"),
    Contestant("TorchRL WorldModelEnv", "with_torchrl", "world_model_env"),
)
Rates = dict[str, dict[int, list[float]]]


@dataclass(frozen=True)
class Settings:
    """How it is timed.

    Attributes:
        sizes: N, environments that advance together.
        turns: How many every contestant gets at every size.
        seconds: Length of a turn.
        out: Takes the JSON.
    """

    sizes: tuple[int, ...] = (1, 64, 256, 1024)
    turns: int = 16
    seconds: float = 0.2
    out: Path = Path("runs/peers.json")


@lru_cache(maxsize=1)
def prepared(contestant: Contestant, num_envs: int) -> Callable[[], object]:
    """Builds a contestant and takes a few steps, which no turn should pay for."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    step = getattr(import_module(contestant.module), contestant.function)(num_envs)
    with torch.inference_mode():
        for _ in range(5):
            step()
    return step


def turn(contestant: Contestant, num_envs: int, seconds: float) -> float:
    """Environment steps per second of one turn; with one thread, a second of the processor is one of the clock."""
    step = prepared(contestant, num_envs)
    steps, begin = 0, time.process_time()
    with torch.inference_mode():
        while (elapsed := time.process_time() - begin) < seconds:
            step()
            steps += num_envs
    return steps / elapsed


def measure(settings: Settings) -> Rates:
    """Lets all contestants take turns."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    spawn = get_context("spawn")
    pools = {contestant: ProcessPoolExecutor(1, spawn) for contestant in CONTESTANTS}
    rates: Rates = {contestant.name: {} for contestant in CONTESTANTS}
    for num_envs in settings.sizes:
        present = {contestant: pool for contestant, pool in pools.items() if num_envs <= contestant.most}
        for _ in range(settings.turns):
            for contestant, pool in present.items():
                rate = pool.submit(turn, contestant, num_envs, settings.seconds).result()
                rates[contestant.name].setdefault(num_envs, []).append(rate)
    for pool in pools.values():
        pool.shutdown()
    return rates


def best_peers(rates: Rates, sizes: tuple[int, ...]) -> dict[int, float]:
    """The best peer's rate at every size."""
    peers = [rates[contestant.name] for contestant in CONTESTANTS if contestant.peer]
    return {num_envs: max(max(peer[num_envs]) for peer in peers if num_envs in peer) for num_envs in sizes}


def table(rates: Rates, sizes: tuple[int, ...]) -> str:
    """Rates, and in brackets their ratios to the best peer's."""
    best = best_peers(rates, sizes)

    def cell(turns: list[float] | None, num_envs: int) -> str:
        return f"{max(turns):,.0f} ({max(turns) / best[num_envs]:.2f})" if turns else ""

    rows = [(name, *(cell(row.get(num_envs), num_envs) for num_envs in sizes)) for name, row in rates.items()]
    headers = ("steps/s (ratio to the best peer)", *(f"N = {num_envs}" for num_envs in sizes))
    return tabulate(rows, headers, disable_numparse=True, colalign=("left", *["right"] * len(sizes)))


def report(rates: Rates, settings: Settings) -> dict[str, object]:
    """All turns, and dreamenv's ratios, as JSON."""
    best, ours = best_peers(rates, settings.sizes), rates[CONTESTANTS[0].name]
    return {
        "settings": {**asdict(settings), "out": str(settings.out)},
        "versions": {package: version(package) for package in PACKAGES},
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "steps_per_second": rates,
        "ratio_to_best_peer": {num_envs: max(ours[num_envs]) / best[num_envs] for num_envs in settings.sizes},
    }


def main(settings: Settings) -> None:
    """Measures, prints a table and writes JSON."""
    rates = measure(settings)
    print(table(rates, settings.sizes))
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(settings.out, report(rates, settings))


if __name__ == "__main__":
    main(tyro.cli(Settings))
