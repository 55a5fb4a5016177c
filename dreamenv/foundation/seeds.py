"""Ranges of seeds by use, and seeds derived from a run's seed: distinct for every run, purpose and round."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np


class SeedRange(NamedTuple):
    """Seeds of episodes that are reserved for one use.

    Attributes:
        first: The first seed.
        last: The last seed.
        use: Purpose of the seeds.
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

SEEDING = 2  # version of the derivation; records and checkpoints of other versions are rejected

# Seeds depend on the position of their purpose: only append.
Purpose = Literal[
    "environments",
    "ppo",
    "search",
    "dreams",
    "actions",
    "evaluation",
    "evaluation actions",
    "round",
    "actor-critic",
    "plans",
    "behaviour",
    "online",
]


def spawn(seed: int, purpose: Purpose, count: int, *index: int) -> list[int]:
    """Derives seeds from a seed, a purpose and an index.

    With consecutive numbers, 256 environments seeded from 0 and 256 seeded from 1 would share 255 seeds.
    ``numpy.random.SeedSequence`` hashes its input, so that two seeds are equal with a probability of 2^-63.

    Args:
        seed: Seed of the run.
        purpose: Use of the seeds.
        count: Number of seeds; a larger count begins with the same seeds.
        index: Generation, step or round, if there are several.

    Returns:
        Integers in [0, 2^63).
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(get_args(Purpose).index(purpose), *index))
    return [int(value) >> 1 for value in sequence.generate_state(count, np.uint64)]


def spawn_short(seed: int, purpose: Purpose, *index: int) -> int:
    """Derives one seed as :func:`spawn` does, below 2^32 for libraries with that limit."""
    return spawn(seed, purpose, 1, *index)[0] >> 31
