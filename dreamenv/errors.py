"""The errors that dreamenv raises on purpose; each says what was expected and what came."""

from __future__ import annotations


class DreamenvError(ValueError):
    """Base class of every error that a caller can mend."""


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


class ResumeError(DreamenvError):
    """A checkpoint was written by a run with other settings."""
