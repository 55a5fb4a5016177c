"""Real environments in worker processes; a dead worker raises an error instead of hanging."""

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

_PATIENCE = 3.0  # seconds to wait for workers to close, or for an announced error to arrive


class WorkerVectorEnv(AsyncVectorEnv):
    """Gymnasium's ``AsyncVectorEnv`` without autoreset, in which the death of a worker raises an error.

    In Gymnasium (1.4) the death of a worker raises a bare ``EOFError``. After that ``close`` fails or hangs, and the
    other workers keep running. Here it raises a :class:`WorkerError`. After that the caller can only ``close``.

    Workers are forked from a fork server, a process without threads and OpenGL, because neither survives a fork. So a
    program that uses this needs the usual ``if __name__ == "__main__":``. Workers ignore Ctrl-C.

    Args:
        make: Makes an environment. It is sent to every worker, so it has to be picklable, and called here once.
        num_envs: Number of workers.
        preload: Module that the fork server imports once for all workers.

    Raises:
        WorkerError: If a worker ends before it is closed.
    """

    def __init__(self, make: Callable[[], gym.Env], num_envs: int, preload: str) -> None:
        multiprocessing.get_context("forkserver").set_forkserver_preload([preload])
        try:
            super().__init__(
                [make] * num_envs, context="forkserver", worker=_run_worker, autoreset_mode=AutoresetMode.DISABLED
            )
        except BaseException as error:
            self._kill_workers()
            if isinstance(error, ConnectionError | EOFError):
                raise WorkerError(
                    f"expected the fork server to begin worker processes, but it ended: {error}"
                ) from None
            raise

    def _check_spaces(self) -> None:
        """Wraps the pipes before the first message, so that errors name the worker; then checks all spaces."""
        pipes: list[Any] = [
            _WorkerPipe(*ends) for ends in enumerate(zip(self.parent_pipes, self.processes, strict=True))
        ]
        self.parent_pipes = pipes
        super()._check_spaces()

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        if all(successes):
            return
        try:
            failures = [self.error_queue.get(timeout=_PATIENCE) for success in successes if not success]
        except queue.Empty:
            raise WorkerError("expected the error of a failed environment, but its worker process ended") from None
        number, _, error, trace = min(
            failures, key=lambda failure: failure[0]
        )  # the lowest number, for a reproducible error
        error.add_note(f"In worker process {number}:\n{trace}")
        raise error

    def close_extras(self, timeout: float | None = _PATIENCE, terminate: bool = False) -> None:
        """Tells workers to close, unless a call is pending; kills those that do not end within ``timeout`` seconds."""
        if self._state is AsyncState.DEFAULT and not terminate:
            for pipe in self.parent_pipes:
                with contextlib.suppress(WorkerError):
                    pipe.send(("close", None))
            deadline = time.monotonic() + (timeout or _PATIENCE)
            for process in self.processes:
                process.join(max(0.0, deadline - time.monotonic()))
        self._kill_workers()

    def _kill_workers(self) -> None:
        """Kills every worker that was started, even if the constructor failed halfway."""
        self.closed = True
        started = [process for process in getattr(self, "processes", []) if process.pid]
        for process in started:
            process.kill()
        for process in started:
            process.join()
        for pipe in getattr(self, "parent_pipes", []):
            pipe.close()


class _WorkerPipe:
    """The pipe to a worker process. Its methods raise a :class:`WorkerError` after the worker has ended."""

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
        raise WorkerError(f"expected worker process {self._number} to keep running, but it {end}") from None


def _run_worker(*arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):  # the calling process has ended
        _async_worker(*arguments)
