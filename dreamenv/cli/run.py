"""The command line: parses the arguments, runs one command, converts errors and signals to exit codes."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Annotated, Any

import gymnasium as gym
import tyro

import dreamenv
from dreamenv.cli.options import DEFAULT_KIND, Flat
from dreamenv.cli.output import with_imports
from dreamenv.foundation.errors import DreamenvError, SettingsError

WRONG_INPUT = (DreamenvError, gym.error.Error)
COMMANDS = {
    "collect": "Collect real episodes with exploring policies.",
    "train": "Train a world model on the collected episodes, and report on held-out ones.",
    "evolve": "Evolve a linear controller with CMA-ES in the dream.",
    "ppo": "Train Stable-Baselines3's PPO in the dream.",
    "actor-critic": "Train an actor and a critic in imagination, as Dreamer does.",
    "plan": "Make an agent that plans every action in the dream, by the cross-entropy method.",
    "vote": "Make one agent of several that were trained alike but for their seed: their mean probabilities decide.",
    "choose": "Try agents in reality, on validation seeds, and keep a copy of the best.",
    "compare": "Score an agent in the dream, by temperature, and in reality.",
    "iterate": "Collect, train, dream and compare in rounds; the agent of a round collects for the next.",
    "planet": "Learn a world from the first frame on, online, and act by planning in it, as PlaNet does.",
    "dreamer": "Learn a world, an actor and a critic from the first frame on, online, as Dreamer does.",
    "horizon": "Show from which horizon on a dream fails: real frames seen rarely, and open-loop predictions.",
    "trust": "Say whether an agent's dream can be believed: green, amber, red, or that the records cannot tell, with "
    "reasons.",
    "inspect": "Look into a world: a page with every diagnostic of its model and agents, and what good looks like.",
}
RESUMABLE = ("collect", "train", "evolve", "ppo", "actor-critic", "iterate", "planet", "dreamer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0; 2 for wrong input, after one line that says what was expected; 130 when stopped by the user.

    Raises:
        Exception: Any other error, with its traceback: it is a bug, of the package or of the environment.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments == ["--version"]:
        print(f"dreamenv {dreamenv.__version__}")
        return 0
    begin = time.monotonic()
    with _interrupt_on_signals() as signals:
        try:
            _run(arguments)
        except (Exception, KeyboardInterrupt) as error:
            if signals or isinstance(error, KeyboardInterrupt):
                print(f"\ndreamenv: stopped; {_what_stays(arguments)}", file=sys.stderr)
                return 130
            if not isinstance(error, WRONG_INPUT):
                raise
            print(f"dreamenv: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
    print(f"done in {time.monotonic() - begin:.0f} s")
    return 0


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of every command.

    Attributes:
        imports: Modules to import first, such as one that registers the environment of the world or a kind of world
            model; those that the environment variable DREAMENV_IMPORT lists, separated by commas, are imported as well.
        debug: Print the traceback of an error before its line.
    """

    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import", metavar="MODULE ...")] = ()
    debug: bool = False


@dataclasses.dataclass(frozen=True)
class EarlyOptions(Options):
    """Options that are read before the others, which depend on them."""

    kind: str = DEFAULT_KIND
    version: int = 2
    size: str = "small"


def load_command(name: str) -> type:
    """Imports the module of a command; returns its dataclass, named like it, which has a method ``run``."""
    words = name.split("-")
    module = importlib.import_module(f"dreamenv.cli.commands.{'_'.join(words)}")
    command: type = getattr(module, "".join(map(str.capitalize, words)))
    return command


def _run(arguments: Sequence[str]) -> None:
    """Imports the user's modules, which may register kinds, then parses and runs a command."""
    with _short_errors():
        early, _ = tyro.cli(EarlyOptions, args=arguments, return_unknown_args=True, add_help=False)
    try:
        if arguments and arguments[0] in COMMANDS:
            _import_modules(early.imports)
        command = _parse(arguments, early)

        from dreamenv.foundation.processor import keep_freed_memory  # imports torch, which --help does not need

        keep_freed_memory()
        with with_imports(early.imports):
            command.run()
    except WRONG_INPUT:  # any other error keeps its traceback
        if early.debug:
            traceback.print_exc()
        raise


def _import_modules(modules: Sequence[str]) -> None:
    """Imports the modules that the user lists. Worlds name environments but cannot import their modules.

    Raises:
        SettingsError: If a module, or one that it needs, is not installed.
    """
    listed = map(str.strip, os.environ.get("DREAMENV_IMPORT", "").split(","))
    for module in filter(None, [*listed, *modules]):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"expected installed modules in --import and DREAMENV_IMPORT, got {module!r}: {error}"
            ) from None


def _what_stays(arguments: Sequence[str]) -> str:
    """Says what a stopped command leaves on disk, and how the same command continues."""
    name = next(iter(arguments), "")
    return f"what is stored stays, the same command {'goes on from there' if name in RESUMABLE else 'begins anew'}"


@contextlib.contextmanager
def _interrupt_on_signals() -> Iterator[list[int]]:
    """Raises KeyboardInterrupt on SIGINT and SIGTERM; lists the signals, because libraries convert the exception."""
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    previous = {
        n: signal.signal(n, interrupt) for n, handler in handlers.items() if handler not in (signal.SIG_IGN, None)
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _parse(arguments: Sequence[str], early: EarlyOptions) -> Any:
    """Reads the command line; returns the dataclass of the command.

    Args:
        arguments: The command line.
        early: Options on which the settings of a command depend.

    Raises:
        SettingsError: If it cannot be read, or the kind is not registered.
        SystemExit: After --help.
    """
    name = next(iter(arguments), "")
    parsers: dict[str, Any] = {other: _placeholder(summary) for other, summary in COMMANDS.items()}
    if name in COMMANDS:
        parsers[name] = _with_options(load_command(name), early)
    with _short_errors():
        return tyro.extras.subcommand_cli_from_dict(
            parsers, prog="dreamenv", description=dreamenv.__doc__, args=arguments
        )


@contextlib.contextmanager
def _short_errors() -> Iterator[None]:
    """Raises a SettingsError of one line instead of the parser's box."""
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            yield
    except SystemExit as stop:
        if stop.code in (None, 0):
            raise
        text = re.sub(r"[╭╮╰╯│─]|\[/?bold\]", " ", box.getvalue())
        text = " ".join(re.sub(r"__tyro-dummy-inner__\.(config\.)?", "--", text).split())
        raise SettingsError(text.partition(" For full helptext")[0]) from None


def _placeholder(summary: str) -> Callable[[], None]:
    """A command that only appears in the list of --help, so that its module is not imported."""

    def listed() -> None:
        pass

    listed.__doc__ = summary
    return listed


def _with_options(command: type, early: EarlyOptions) -> type:
    """Appends :class:`Options` to the fields of a command; early options choose the settings that others begin with."""
    fields: list[tuple[str, Any, Any]] = [("options", Annotated[Options, Flat], dataclasses.field(default=Options()))]
    if hasattr(command, "kind"):
        from dreamenv.cli.kinds import kind_fields  # imports torch, which the list of commands does not need

        fields = [*kind_fields(command, early.kind), *fields]
    if hasattr(command, "size"):
        from dreamenv.cli.online import online_fields

        fields = [*online_fields(command, early.version, early.size), *fields]
    namespace = {"__doc__": command.__doc__, "__module__": __name__}
    return dataclasses.make_dataclass(command.__name__, fields, bases=(command,), frozen=True, namespace=namespace)


if __name__ == "__main__":
    sys.exit(main())
