"""Lines that commands print: results, and the command to call next."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dreamenv.rollouts import Policy
    from dreamenv.world import World

_IMPORTS: ContextVar[tuple[str, ...]] = ContextVar("imports", default=())  # of the command that runs
DREAMS = 100  # in which a trained agent is scored
TRAIN_MORE = ", so it has hardly learned: try another --seed, or a longer training"


def say(text: str) -> None:
    """Prints a result."""
    print(text)


def say_next(*commands: Sequence[str | Path]) -> None:
    """Prints the commands to choose from for the next step."""
    print(f"next: {'   or   '.join(map(shell_command, commands))}")


@contextlib.contextmanager
def with_imports(modules: Sequence[str]) -> Iterator[None]:
    """Repeats the option --import in the commands that are printed inside."""
    token = _IMPORTS.set(tuple(modules))
    try:
        yield
    finally:
        _IMPORTS.reset(token)


def shell_command(arguments: Sequence[str | Path]) -> str:
    """Quotes a command of dreamenv for a shell, with the --import of the command that runs."""
    modules = _IMPORTS.get()
    return shlex.join(["dreamenv", *map(str, arguments), *(("--import", *modules) if modules else ())])


def say_dreamed(world: World, agent: Policy, seed: int, *, dreams: int = DREAMS, advice: str = TRAIN_MORE) -> None:
    """Prints an agent's score in the dream that it was made for; the advice if it never succeeds there."""
    from gymnasium.vector import AutoresetMode

    from dreamenv.envs.dream_vector import DreamVectorEnv
    from dreamenv.evaluate.scores import score
    from dreamenv.foundation.seeds import spawn
    from dreamenv.world import seen_by

    env = DreamVectorEnv(seen_by(world, agent), dreams, autoreset_mode=AutoresetMode.DISABLED)
    seeds = spawn(seed, "evaluation", dreams)
    found = score(env, agent, seeds, world.config, name="greedy", deterministic=True)
    success = "" if found.success is None else f"success {found.success:.2f}, "
    say(f"in {dreams} greedy dreams: {success}return {found.mean:.3f} ({found.low:.3f} to {found.high:.3f})")
    if found.success == 0.0:
        say(f"it met no good ending there{advice}")
