"""The errors of dreamenv. Each message names the expected and the actual value."""

from __future__ import annotations

import traceback
from typing import Any


class DreamenvError(ValueError):
    """Base class of all errors that a caller can correct."""


class SettingsError(DreamenvError):
    """A setting, argument or option is out of its range, or does not fit the others."""


class DivergenceError(DreamenvError, FloatingPointError):
    """A loss, gradient or weight in training is not finite."""


class StorageError(OSError, DreamenvError):
    """A file cannot be written, for example on a full disk."""


class BundleError(DreamenvError):
    """A world or an agent on disk is missing, damaged or of another kind than its files say."""


class StoreError(DreamenvError):
    """A folder of episodes is missing, damaged or belongs to another environment."""


class UnsupportedEnvironmentError(DreamenvError):
    """A real environment has spaces that no world can learn, or does not fit its world."""


class RenderingError(DreamenvError):
    """The real environment cannot draw its frames on this machine."""


class WorkerError(DreamenvError):
    """A process of a real environment has ended unexpectedly."""


class EpisodeError(DreamenvError):
    """A real environment failed within an episode; ``__cause__`` is the exception that it raised, if any.

    An exception from another process is represented by its traceback as text, because not all exceptions can be
    pickled.

    Args:
        env_id: Id of the environment.
        seed: Seed of the reset; None if it had none.
        step: Number of the step that failed, from 1; 0 for the reset.
        reason: The failure, in one line.
    """

    def __init__(self, env_id: str, seed: int | None, step: int, reason: str) -> None:
        super().__init__(env_id, seed, step, reason)
        self.env_id, self.seed, self.step, self.reason = env_id, seed, step, reason

    def __str__(self) -> str:
        """Returns environment, step, seed and reason."""
        place = f"step {self.step}" if self.step else "the reset"
        return f"{self.env_id} failed in {place} of the episode with seed {self.seed}: {self.reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the cause too, which exceptions do not by default."""
        cause = self.__cause__
        text = cause and RuntimeError("".join(traceback.format_exception(cause)))
        return type(self), self.args, {"__cause__": text}


class ResumeError(DreamenvError):
    """A checkpoint was written by a run with other settings."""
