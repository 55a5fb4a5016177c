"""Real environments in processes of their own; whoever kills one of them gets an error, not a wait without end."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.async_vector_env import AsyncState, _async_worker

from dreamenv.foundation.errors import WorkerError

_PATIENCE = 3.0  # seconds in which workers that are asked to close do so, or an error that was announced arrives


class WorkerVectorEnv(AsyncVectorEnv):
    """Gymnasium's environments in worker processes, one in each and reset by hand, made safe against their deaths.

    In Gymnasium (1.4) the death of a worker is a bare ``EOFError``, after which ``close`` fails or waits forever, and
    the other workers stay. Here it is a :class:`WorkerError`, after which only ``close`` is left to be called.

    Workers come from a fork server, a process without threads and OpenGL, as neither survives a fork. So a program
    that uses this needs the usual ``if __name__ == "__main__":``. Ctrl-C is left to the calling process.

    Args:
        make: Makes an environment; sent to every worker, so it has to be picklable. Called here once, too.
        num_envs: Number of workers.
        preload: Module that the fork server imports once, for all workers.

    Raises:
        WorkerError: If a worker ends before it is closed.
    """

    def __init__(self, make: Callable[[], gym.Env], num_envs: int, preload: str) -> None:
        multiprocessing.get_context("forkserver").set_forkserver_preload([preload])
        try:
            super().__init__(
                [make] * num_envs, context="forkserver", worker=_work, autoreset_mode=AutoresetMode.DISABLED
            )
        except BaseException as error:
            self._end()
            if isinstance(error, ConnectionError | EOFError):
                raise WorkerError(
                    f"expected the fork server to begin worker processes, but it ended: {error}"
                ) from None
            raise

    def _check_spaces(self) -> None:
        """The first talk with the workers: from here on, their silence has a name."""
        lines: list[Any] = [_Line(*ends) for ends in enumerate(zip(self.parent_pipes, self.processes, strict=True))]
        self.parent_pipes = lines
        super()._check_spaces()

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        if all(successes):
            return
        try:
            failures = [self.error_queue.get(timeout=_PATIENCE) for success in successes if not success]
        except queue.Empty:
            raise WorkerError("expected to hear why an environment failed, but its worker process ended") from None
        number, _, error, trace = min(failures, key=lambda failure: failure[0])  # not by who was first
        error.add_note(f"In worker process {number}:\n{trace}")
        raise error

    def close_extras(self, timeout: float | None = _PATIENCE, terminate: bool = False) -> None:
        """Asks workers to close their environments, unless one is amid an answer; ends those that do not in time."""
        if self._state is AsyncState.DEFAULT and not terminate:
            for pipe in self.parent_pipes:
                with contextlib.suppress(WorkerError):
                    pipe.send(("close", None))
            deadline = time.monotonic() + (timeout or _PATIENCE)
            for process in self.processes:
                process.join(max(0.0, deadline - time.monotonic()))
        self._end()

    def _end(self) -> None:
        """Ends every worker that was begun, also where making this environment stopped halfway."""
        self.closed = True
        begun = [process for process in getattr(self, "processes", []) if process.pid]
        for process in begun:
            process.kill()
        for process in begun:
            process.join()
        for pipe in getattr(self, "parent_pipes", []):
            pipe.close()


class _Line:
    """The pipe to a worker process, on which its end is a :class:`WorkerError`."""

    def __init__(self, number: int, ends: tuple[Connection, BaseProcess]) -> None:
        self._number, (self._pipe, self._process) = number, ends
        self.close, self.poll = self._pipe.close, self._pipe.poll

    @property
    def closed(self) -> bool:
        return self._pipe.closed

    def send(self, message: Any) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            self._fail()

    def recv(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            self._fail()

    def _fail(self) -> NoReturn:
        self._process.join(_PATIENCE)
        code = self._process.exitcode
        end = f"was killed by signal {-code}" if code and code < 0 else f"ended with status {code}"
        raise WorkerError(f"expected worker process {self._number} to go on, but it {end}") from None


def _work(*arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):  # nobody is left to hear why this one ends
        _async_worker(*arguments)
