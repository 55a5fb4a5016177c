"""The errors that dreamenv raises on purpose; each says what was expected and what came."""

from __future__ import annotations

import traceback
from typing import Any


class DreamenvError(ValueError):
    """Base class of every error that a caller can mend."""


class SettingsError(DreamenvError):
    """A setting, argument or option is out of its range, or does not fit the others."""


class DivergenceError(DreamenvError, FloatingPointError):
    """A training has met a number that is not finite."""


class StorageError(OSError, DreamenvError):
    """The disk refuses to store a file."""


class BundleError(DreamenvError):
    """A world or an agent on disk is missing, damaged or not what it claims to be."""


class StoreError(DreamenvError):
    """A folder of episodes is missing, damaged or belongs to another environment."""


class UnsupportedEnvironmentError(DreamenvError):
    """A real environment cannot be learned, or does not fit the world it is used with."""


class RenderingError(DreamenvError):
    """The real environment cannot draw its frames on this machine."""


class WorkerError(DreamenvError):
    """A process in which a real environment ran has ended before its time."""


class EpisodeError(DreamenvError):
    """A real environment failed in the middle of one episode; ``__cause__`` is the exception that it raised, if any.

    From another process the cause comes as its traceback's text, as exceptions of unknown classes cannot be sent.

    Args:
        env_id: Id of the environment.
        seed: What the episode was reset with; None if with nothing.
        step: Number of the step that failed, from 1; 0 for the reset.
        reason: What went wrong, one line.
    """

    def __init__(self, env_id: str, seed: int | None, step: int, reason: str) -> None:
        super().__init__(env_id, seed, step, reason)
        self.env_id, self.seed, self.step, self.reason = env_id, seed, step, reason

    def __str__(self) -> str:
        """Names environment, episode and step."""
        place = f"step {self.step}" if self.step else "the reset"
        return f"{self.env_id} failed in {place} of the episode with seed {self.seed}: {self.reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Keeps the cause when pickled, which exceptions do not."""
        cause = self.__cause__
        text = cause and RuntimeError("".join(traceback.format_exception(cause)))
        return type(self), self.args, {"__cause__": text}


class ResumeError(DreamenvError):
    """A checkpoint was written by a run with other settings."""
