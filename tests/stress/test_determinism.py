"""Same seed, same bits: whole chains in fresh processes, and what other numbers of threads change."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import chain

HERE = Path(__file__).parent
PROGRAM = HERE / "chain.py"
NO_THREADS = {"collecting", "Sidewalk's frames"}  # what neither V nor M has a part in


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """``fresh(kind, seed, threads)``: the sums of a chain in its own process, folder and order of hashes."""

    def run(kind="tiny", seed=0, threads=1):
        place = tmp_path_factory.mktemp("fresh")
        paths = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])
        environment = {
            "OMP_WAIT_POLICY": "PASSIVE",
            "OMP_NUM_THREADS": str(threads),
            "PYTHONHASHSEED": "random",
            "PYTHONPATH": paths,
        }
        done = subprocess.run(
            [sys.executable, str(PROGRAM), kind, "made", str(seed)],
            env=os.environ | environment, cwd=place, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def first(fresh):
    """The tiny chain of seed 0."""
    return fresh()


def differing(one, other):
    assert one.keys() == other.keys()
    return sorted(stage for stage in one if one[stage] != other[stage])


@pytest.mark.timeout(600)
def test_a_seed_gives_the_same_bits_in_every_process(first, fresh, cases, figure):
    different = {0: differing(first, fresh())}
    for seed in range(1, cases(1, 5)):
        different[seed] = differing(fresh(seed=seed), fresh(seed=seed))

    stages = len(first) * len(different)
    figure(
        "stages of whole chains that differ between processes", f"{sum(map(len, different.values()))} of {stages}", 0
    )
    assert not any(different.values()), different


def test_what_a_process_did_before_changes_no_bit(first, tmp_path):
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)

    assert differing(chain(tmp_path), first) == []


def test_another_seed_changes_every_stage(first, tmp_path):
    assert set(differing(first, chain(tmp_path, seed=1))) == set(first)


@pytest.mark.timeout(900)
def test_numbers_of_threads_change_nothing_that_v_and_m_have_no_part_in(first, fresh, cases, figure):
    kind = ("tiny", "full")[cases(0, 1)]
    alone = first if kind == "tiny" else fresh(kind)
    changed = {threads: differing(alone, fresh(kind, threads=threads)) for threads in (2, 4)[: cases(1, 2)]}

    for threads, stages in changed.items():
        figure(f"stages whose bits {threads} threads change", ", ".join(stages) or "none", "measured, not promised")
    assert not NO_THREADS & {stage for stages in changed.values() for stage in stages}, changed
    if kind == "full":
        assert differing(alone, fresh(kind)) == []
