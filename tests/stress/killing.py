"""Processes that die: a copy of this one runs a function and is killed, at a call of the file system or at any time."""

import contextlib
import os
import resource
import signal
import threading
import time
import traceback
from collections.abc import Callable

from tqdm import tqdm

from dreamenv.foundation.errors import DreamenvError

CALLS = ("chmod", "close", "fsync", "mkdir", "open", "replace", "unlink")
DONE, FAILED, REFUSED = 0, 1, 2


def run_in_child(function: Callable[[], object], delay: float | None = None, number: int = signal.SIGKILL) -> int:
    """Runs ``function`` in a copy of this process; after ``delay`` seconds sends it a signal.

    Returns:
        DONE, REFUSED after an error of the disk or one that the package raises on purpose, FAILED after another one, or
        minus the signal that ended it.
    """
    child = os.fork()
    if not child:
        os._exit(_outcome(function))
    if delay is not None:
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _outcome(function: Callable[[], object]) -> int:
    """Never returns into the tests of the parent, whatever happens."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell makes its background jobs ignore
    tqdm.set_lock(threading.RLock())  # its own is shared with the parent, which would wait for a dead child's
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        function()
        return DONE
    except (OSError, DreamenvError):
        return REFUSED
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return FAILED
    except BaseException:
        traceback.print_exc()
        return FAILED


def count_calls(function: Callable[[], object]) -> int:
    """How many calls of the file system ``function`` makes; at most 255."""

    def at_call(number, call):
        nonlocal made
        made = number + 1
        return call()

    def run():
        _watched(function, at_call)()
        os._exit(made)

    made = 0
    return run_in_child(run)


def dying(function: Callable[[], object], moment: int) -> Callable[[], object]:
    """``function``, dying at a moment: 2 k just before its call number k of the file system, 2 k + 1 just after it."""

    def at_call(number, call):
        if 2 * number == moment:
            os._exit(signal.SIGKILL)
        try:
            return call()
        finally:
            if 2 * number + 1 == moment:
                os._exit(signal.SIGKILL)

    return _watched(function, at_call)


def failing(function: Callable[[], object], number: int, error: int) -> Callable[[], object]:
    """``function``, whose call number ``number`` of the file system fails with an error of ``errno``."""

    def at_call(count, call):
        if count == number:
            raise OSError(error, os.strerror(error))
        return call()

    return _watched(function, at_call)


def with_short_writes(function: Callable[[], object], size: int) -> Callable[[], object]:
    """``function`` on a disk on which no file gets longer than ``size`` bytes: what is longer is cut there."""

    def run():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        function()

    return run


def _watched(function, at_call):
    def run():
        count = iter(range(10**9))
        for name in CALLS:
            real = getattr(os, name)

            def watched(*args, real=real, **kwargs):
                return at_call(next(count), lambda: real(*args, **kwargs))

            setattr(os, name, watched)
        function()

    return run
