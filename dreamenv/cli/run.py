"""The command line: parse, run one command, end as a command does."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
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
from dreamenv.cli.commands import COMMANDS, Flat
from dreamenv.foundation.errors import DreamenvError, SettingsError
from dreamenv.foundation.processor import keep_freed_memory

WRONG_INPUT = (DreamenvError, gym.error.Error)
RESUMABLE = ("collect", "train", "evolve", "ppo", "iterate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0; 2 for wrong input, after one line that says what was expected; 130 when stopped by the user.

    Raises:
        Exception: Any other error, with its traceback: it is a bug, of the package or of the environment.
    """
    if list(sys.argv[1:] if arguments is None else arguments) == ["--version"]:
        print(f"dreamenv {dreamenv.__version__}")
        return 0
    begin = time.monotonic()
    keep_freed_memory()
    with _heed_signals() as signals:
        try:
            _parse(arguments)()
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
    """What every command understands.

    Attributes:
        imports: Modules to import first, such as one that registers the environment of the world; those that the
            environment variable DREAMENV_IMPORT lists, separated by commas, are imported as well.
        debug: Print the traceback of an error before its line.
    """

    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import", metavar="MODULE ...")] = ()
    debug: bool = False


def _import_modules(modules: Sequence[str]) -> None:
    """Imports what the user lists: environments of worlds, which worlds themselves may not import.

    Raises:
        SettingsError: If a module, or one that it needs, is not there.
    """
    listed = map(str.strip, os.environ.get("DREAMENV_IMPORT", "").split(","))
    for module in filter(None, [*listed, *modules]):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"expected installed modules in --import and DREAMENV_IMPORT, got {module!r}: {error}"
            ) from None


def _what_stays(arguments: Sequence[str] | None) -> str:
    """What a stopped command leaves behind, and what it does when it is called again."""
    name = next(iter(sys.argv[1:] if arguments is None else arguments), "")
    return f"what is stored stays, the same command {'goes on from there' if name in RESUMABLE else 'begins anew'}"


@contextlib.contextmanager
def _heed_signals() -> Iterator[list[int]]:
    """Makes SIGINT and SIGTERM interrupt; lists those that came, as libraries turn the interrupt into other errors."""
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    previous = {
        n: signal.signal(n, interrupt) for n, handler in handlers.items() if handler not in (signal.SIG_IGN, None)
    }
    try:
        yield came
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _parse(arguments: Sequence[str] | None) -> Callable[[], None]:
    """Reads the command line; returns the call it asks for.

    Raises:
        SettingsError: If it cannot be read; one line, where the parser prints a box.
        SystemExit: After --help.
    """
    deferred = {name: _defer(command) for name, command in COMMANDS.items()}
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.extras.subcommand_cli_from_dict(
                deferred, prog="dreamenv", description=dreamenv.__doc__, args=arguments
            )
    except SystemExit as stop:
        if stop.code in (None, 0):
            raise
        text = re.sub(r"[╭╮╰╯│─]|\[/?bold\]", " ", box.getvalue())
        text = " ".join(re.sub(r"__tyro-dummy-inner__\.(config\.)?", "--", text).split())
        raise SettingsError(text.partition(" For full helptext")[0]) from None


def _defer(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """Turns a command into one that also takes :class:`Options` and returns its call: parsing ends before it runs."""

    def parsed(*args: Any, options: Options, **kwargs: Any) -> Callable[[], None]:
        def run() -> None:
            try:
                _import_modules(options.imports)
                command(*args, **kwargs)
            except WRONG_INPUT:  # any other error keeps its traceback
                if options.debug:
                    traceback.print_exc()
                raise

        return run

    own = inspect.signature(command, eval_str=True).parameters.values()
    kind = Annotated[Options, Flat]
    last = inspect.Parameter("options", inspect.Parameter.KEYWORD_ONLY, default=Options(), annotation=kind)
    parsed.__doc__, parsed.__name__ = command.__doc__, command.__name__
    parsed.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, last)}
    vars(parsed)["__signature__"] = inspect.Signature([*own, last])
    return parsed


if __name__ == "__main__":
    sys.exit(main())
