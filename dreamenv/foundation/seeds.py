"""Which seeds are for what, and the seeds that a run draws: two runs, purposes or rounds have none in common."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np


class SeedRange(NamedTuple):
    """Seeds of episodes that are set aside for one use.

    Attributes:
        first: The first seed.
        last: The last seed.
        use: What the seeds are for.
    """

    first: int
    last: int
    use: str


DREAM_SEED = 50_000
VALIDATION_SEED = 80_000
TEST_SEED = 90_000
FIRST_TRAINING_SEED = 1_000_000
SEED_RANGES = (  # the table in docs/concepts.md
    SeedRange(0, DREAM_SEED - 1, "free, for playing and debugging"),
    SeedRange(DREAM_SEED, VALIDATION_SEED - 1, "dreams that `trust` examines"),
    SeedRange(VALIDATION_SEED, TEST_SEED - 1, "real episodes to choose by: settings, worlds, agents"),
    SeedRange(TEST_SEED, FIRST_TRAINING_SEED - 1, "real episodes to report, once"),
    SeedRange(
        FIRST_TRAINING_SEED,
        1001 * FIRST_TRAINING_SEED - 1,
        "real episodes to train on: `collect` from 1,000,000 x (seed + 1)",
    ),
)

SEEDING = 2  # how runs get their seeds; a record or checkpoint of another way is refused

# The position of a purpose is part of its seeds: append new ones.
Purpose = Literal["environments", "ppo", "search", "dreams", "actions", "evaluation", "evaluation actions", "round"]


def spawn(seed: int, purpose: Purpose, count: int, *index: int) -> list[int]:
    """Draws seeds that belong to one seed, one purpose and one index.

    Consecutive numbers would not do: 256 environments seeded from 0 on and 256 seeded from 1 on share 255 seeds.
    ``numpy.random.SeedSequence`` hashes what it is given, so that equal seeds are as unlikely as 63 bits make it.

    Args:
        seed: Of a run.
        purpose: What the seeds are for.
        count: How many; a larger count begins with the same ones.
        index: Which generation, step or round, where there are several.

    Returns:
        Integers in [0, 2^63).
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(get_args(Purpose).index(purpose), *index))
    return [int(value) >> 1 for value in sequence.generate_state(count, np.uint64)]


def spawn_short(seed: int, purpose: Purpose, *index: int) -> int:
    """Draws one seed as :func:`spawn` does, below 2^32 for libraries that take no more."""
    return spawn(seed, purpose, 1, *index)[0] >> 31
