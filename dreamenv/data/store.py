"""A store of episodes: a folder of immutable, checksummed shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from dreamenv.data.episodes import Episode, check_episode
from dreamenv.data.shards import Shard, encode
from dreamenv.foundation.errors import StoreError
from dreamenv.foundation.files import VerifiedFiles, lock_folder, remove_partial, write_json, write_parts
from dreamenv.foundation.recipe import to_plain
from dreamenv.real.spec import StoreSpec

FAILURES = "set_aside.json"
VALIDATION_EVERY = 10  # one episode in this many is held out


class EpisodeStore:
    """An append-only folder of episodes.

    A shard is one safetensors file whose name carries the SHA-256 of its content, so a single rename publishes data
    and checksum together. A killed writer leaves at most a temporary file, which readers ignore. Frames are
    memory-mapped from disk. A shard is hashed when it is first opened, and again after the file has changed; see
    :class:`dreamenv.foundation.files.VerifiedFiles`. The constructor opens the store for reading, :meth:`create` for
    writing.

    Args:
        folder: An existing store.

    Raises:
        StoreError: If there is no store, or a shard does not match its checksum.
    """

    _lock: FileLock | None = None  # held while the store is open for writing

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder = Path(folder)
        self.spec = _read_spec(folder / "spec.json")
        verified = VerifiedFiles(folder)
        self._shards = [_verified_shard(path, self.spec, verified) for path in sorted(folder.glob("*.safetensors"))]
        verified.save()

    @classmethod
    def create(cls, folder: Path, spec: StoreSpec) -> EpisodeStore:
        """Opens the store in ``folder`` for writing, until :meth:`close`; creates it if it does not exist.

        Raises:
            StoreError: If the folder holds episodes of another environment, or another process is writing to it.
        """
        busy = StoreError(f"another process is adding episodes to {folder}; wait for it, or stop it")
        lock = lock_folder(folder, busy)
        try:
            path = folder / "spec.json"
            if not path.exists():
                write_json(path, to_plain(spec))
            store = cls(folder)
            if store.spec != spec:
                raise StoreError(f"{folder} holds episodes of {store.spec}, cannot add episodes of {spec}")
            remove_partial(folder)
        except BaseException:
            lock.release()
            raise
        store._lock = lock
        return store

    def close(self) -> None:
        """Ends writing, so that other processes can write; episodes stay readable."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def append(self, episodes: Sequence[Episode]) -> None:
        """Writes ``episodes`` as one new shard; they are stored when this returns.

        Raises:
            StoreError: If the store is open for reading only, the list is empty, or an episode does not fit, see
                :func:`dreamenv.data.episodes.check_episode`. The store stays as before.
            StorageError: If the disk cannot be written. The store stays as before.
        """
        if self._lock is None:
            raise StoreError(f"{self.folder} is open for reading; EpisodeStore.create opens it for writing")
        if not episodes:
            raise StoreError(f"expected at least one episode to add to {self.folder}, got none")
        for episode in episodes:
            check_episode(episode, self.spec)
        parts = encode(episodes)
        digest = sha256()
        for part in parts:
            digest.update(part)
        number = 1 + int(self.shard_names[-1].partition("-")[0]) if self._shards else 0
        path = self.folder / f"{number:06d}-{digest.hexdigest()}.safetensors"
        write_parts(path, parts)
        self._shards.append(Shard(path, self.spec))

    def set_aside(self, seed: int, reason: str, details: str = "") -> None:
        """Records in ``set_aside.json`` that the episode with a seed failed, so that it is not tried again.

        Args:
            seed: Seed of the episode's reset.
            reason: The error in one line.
            details: For example a traceback.
        """
        failures = {**self.failures, seed: {"reason": reason, "details": details}}
        write_json(self.folder / FAILURES, {str(seed): failures[seed] for seed in sorted(failures)})

    @property
    def failures(self) -> dict[int, dict[str, str]]:
        """Seeds of the episodes that were set aside, each with ``reason`` and ``details``.

        Raises:
            StoreError: If the file does not have the format of :meth:`set_aside`.
        """
        path = self.folder / FAILURES
        try:
            return TypeAdapter(dict[int, dict[str, str]]).validate_json(path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise StoreError(
                f"{path} does not list episodes that failed; delete it to try them again: {error}"
            ) from None

    def split(self) -> tuple[list[Episode], list[Episode]]:
        """Splits into training and validation episodes by position, so that appended episodes move no others.

        Raises:
            StoreError: If the store has fewer than ten episodes.
        """
        if len(self) < VALIDATION_EVERY:
            raise StoreError(f"expected at least {VALIDATION_EVERY} episodes in {self.folder}, got {len(self)}")
        return self.training, [episode for index, episode in enumerate(self) if _held_out(index)]

    @property
    def training(self) -> list[Episode]:
        """The training episodes of :meth:`split`, however few."""
        return [episode for index, episode in enumerate(self) if not _held_out(index)]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of every episode, (E,)."""
        return np.concatenate([shard.lengths for shard in self._shards] or [np.zeros(0, np.int64)])

    @property
    def seeds(self) -> NDArray[np.int64]:
        """Seeds of all episodes, (E,)."""
        return np.concatenate([shard.tensors["seeds"].numpy() for shard in self._shards] or [np.zeros(0, np.int64)])

    @property
    def num_frames(self) -> int:
        """Frames stored, final observations included."""
        return int(self.lengths.sum()) + len(self)

    @property
    def shard_names(self) -> list[str]:
        """Names of the shards. They contain the checksums, so together they identify the data."""
        return [shard.path.name for shard in self._shards]

    def __len__(self) -> int:
        """Number of episodes."""
        return sum(len(shard.lengths) for shard in self._shards)

    def __iter__(self) -> Iterator[Episode]:
        """Iterates over the episodes in the order in which they were stored."""
        return (shard.episode(index) for shard in self._shards for index in range(len(shard.lengths)))


def _held_out(index: int) -> bool:
    return index % VALIDATION_EVERY == VALIDATION_EVERY - 1


def _verified_shard(path: Path, spec: StoreSpec, verified: VerifiedFiles) -> Shard:
    if not verified.check(path, path.stem.partition("-")[2]):
        raise StoreError(
            f"{path} is damaged: its content does not match the SHA-256 in its name; "
            "to continue without its episodes, delete it and train again"
        )
    return Shard(path, spec)


def _read_spec(path: Path) -> StoreSpec:
    try:
        return TypeAdapter(StoreSpec).validate_json(path.read_bytes(), strict=True, extra="forbid")
    except FileNotFoundError:
        raise StoreError(f"no episodes in {path.parent}; collect some first: dreamenv collect --help") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        raise StoreError(f"{path} does not describe a store of episodes: {error}") from None
