"""Episodes of real experience, and their store: a folder of immutable, checksummed shards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import safetensors
import torch
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError

from dreamenv.data.shards import Part, shard_parts
from dreamenv.foundation.errors import SettingsError, StoreError
from dreamenv.foundation.files import VerifiedFiles, lock_folder, remove_partial, write_json, write_parts
from dreamenv.foundation.recipe import to_plain
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.real.spec import StoreSpec

FAILURES = "set_aside.json"
VALIDATION_EVERY = 10  # one episode in this many is held out


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of the real environment.

    Attributes:
        observations: (T + 1, H, W, 3) uint8; the last one is the final observation.
        actions: (T,) int64, or (T, A) float32.
        rewards: (T,) float32; ``rewards[t]`` was paid for ``actions[t]``.
        terminated: Whether the environment ended the episode.
        truncated: Whether the time limit did.
        seed: The seed the environment was reset with.
        policy: Who acted.
    """

    observations: NDArray[np.uint8]
    actions: NDArray
    rewards: NDArray[np.float32]
    terminated: bool
    truncated: bool
    seed: int
    policy: str

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.actions)

    def __repr__(self) -> str:
        """Names what a reader asks first: how long, how much, how it ended."""
        end = "terminated" if self.terminated else "truncated" if self.truncated else "cut"
        return f"Episode({len(self)} steps, return {self.rewards.sum():.3f}, {end}, seed {self.seed}, {self.policy})"


def evenly_spaced(size: int, count: int) -> NDArray[np.int64]:
    """At most ``count`` of the numbers below ``size``, evenly spaced, the first and the last among them."""
    return np.linspace(0, size - 1, min(count, size)).astype(np.int64)


def evenly_spaced_frames(episodes: Sequence[Episode], count: int) -> NDArray[np.uint8]:
    """At most ``count`` of all frames of the episodes, evenly spaced, (N, H, W, 3); no others are read from disk."""
    ends = np.cumsum([len(episode) + 1 for episode in episodes])
    chosen = evenly_spaced(int(ends[-1]), count)
    owners = np.searchsorted(ends, chosen, side="right")
    return np.stack([episodes[e].observations[i - ends[e]] for e, i in zip(owners, chosen, strict=True)])


class EpisodeStore:
    """An append-only folder of episodes.

    A shard is one safetensors file whose name carries the SHA-256 of its content, so a single rename publishes data
    and checksum together; a killed writer leaves at most a temporary file that is ignored. Frames stay on disk and are
    mapped into memory. A shard is hashed when it is first opened, and again when the file has changed since; see
    :class:`dreamenv.foundation.files.VerifiedFiles`. A store that is opened like this is for reading; :meth:`create`
    opens it for writing.

    Args:
        folder: An existing store.

    Raises:
        StoreError: If there is no store, or a shard does not match its checksum.
    """

    _lock: FileLock | None = None  # of the one who writes

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder = Path(folder)
        self.spec = _read_spec(folder / "spec.json")
        verified = VerifiedFiles(folder)
        self._shards = [_verified_shard(path, self.spec, verified) for path in sorted(folder.glob("*.safetensors"))]
        verified.save()

    @classmethod
    def create(cls, folder: Path, spec: StoreSpec) -> EpisodeStore:
        """Opens the store in ``folder`` for writing, until :meth:`close`; starts it when there is none.

        Raises:
            StoreError: If the folder holds episodes of something else, or somebody else is writing to it.
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
        """Lets others write; episodes can still be read."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def append(self, episodes: Sequence[Episode]) -> None:
        """Writes ``episodes`` as one new shard; they are stored when this returns.

        Raises:
            StoreError: If the store is open for reading only, there is no episode, or one has no step, arrays of other
                shapes or types than :class:`Episode` says or actions that the space has not, or a number is not finite.
            StorageError: If the disk refuses. Whatever is raised, the store is as before.
        """
        if self._lock is None:
            raise StoreError(f"{self.folder} is open for reading; EpisodeStore.create opens it for writing")
        if not episodes:
            raise StoreError(f"expected at least one episode to add to {self.folder}, got none")
        for episode in episodes:
            _check_episode(episode, self.spec)
        parts = _encode(episodes)
        digest = sha256()
        for part in parts:
            digest.update(part)
        number = 1 + int(self.shard_names[-1].partition("-")[0]) if self._shards else 0
        path = self.folder / f"{number:06d}-{digest.hexdigest()}.safetensors"
        write_parts(path, parts)
        self._shards.append(_Shard(path, self.spec))

    def set_aside(self, seed: int, reason: str, details: str = "") -> None:
        """Records in ``set_aside.json`` that the episode with a seed failed, so that it is not tried again.

        Args:
            seed: What the episode was reset with.
            reason: What went wrong, one line.
            details: A traceback, for example.
        """
        failures = {**self.failures, seed: {"reason": reason, "details": details}}
        write_json(self.folder / FAILURES, {str(seed): failures[seed] for seed in sorted(failures)})

    @property
    def failures(self) -> dict[int, dict[str, str]]:
        """Seeds of the episodes that were set aside, each with ``reason`` and ``details``.

        Raises:
            StoreError: If the file is not what :meth:`set_aside` writes.
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
        """Splits into training and validation episodes, by their position: whatever is added, none changes sides.

        Raises:
            StoreError: If nothing would be left to validate on.
        """
        if len(self) < VALIDATION_EVERY:
            raise StoreError(f"expected at least {VALIDATION_EVERY} episodes in {self.folder}, got {len(self)}")
        sides: tuple[list[Episode], list[Episode]] = ([], [])
        for index, episode in enumerate(self):
            sides[index % VALIDATION_EVERY == VALIDATION_EVERY - 1].append(episode)
        return sides

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
        """Names of the shards, which carry their checksums: together the identity of the data."""
        return [shard.path.name for shard in self._shards]

    def __len__(self) -> int:
        """Number of episodes."""
        return sum(len(shard.lengths) for shard in self._shards)

    def __iter__(self) -> Iterator[Episode]:
        """Goes through the episodes in the order they were stored."""
        return (shard.episode(index) for shard in self._shards for index in range(len(shard.lengths)))


def _verified_shard(path: Path, spec: StoreSpec, verified: VerifiedFiles) -> _Shard:
    if not verified.check(path, path.stem.partition("-")[2]):
        raise StoreError(
            f"{path} is damaged: its content does not match the SHA-256 in its name; "
            "to go on without its episodes, delete it and train anew"
        )
    return _Shard(path, spec)


class _Shard:
    """One file; its tensors are views of the mapped file."""

    def __init__(self, path: Path, spec: StoreSpec) -> None:
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                self.tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in file.keys()}
                self.policies: list[str] = json.loads(file.metadata()["policies"])
            self.lengths: NDArray[np.int64] = self.tensors["lengths"].numpy()
            self._check(spec)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{path} is not a shard of episodes of {spec.env_id}: {error}") from None
        self.path = path
        self._ends = np.cumsum(self.lengths)

    def _check(self, spec: StoreSpec) -> None:
        steps, episodes = int(self.lengths.sum()), len(self.policies)
        action = ((steps,), torch.int64) if spec.action.discrete else ((steps, spec.action.size), torch.float32)
        expected = {
            "observations": ((steps + episodes, *spec.frame_shape), torch.uint8),
            "actions": action,
            "rewards": ((steps,), torch.float32),
            "lengths": ((episodes,), torch.int64),
            "terminated": ((episodes,), torch.bool),
            "truncated": ((episodes,), torch.bool),
            "seeds": ((episodes,), torch.int64),
        }
        found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in self.tensors.items()}
        if found != expected or (self.lengths < 1).any():
            raise SettingsError(f"expected {expected}, got {found}")

    def episode(self, index: int) -> Episode:
        stop = int(self._ends[index])
        steps = slice(stop - int(self.lengths[index]), stop)
        frames = slice(steps.start + index, stop + index + 1)
        return Episode(
            observations=self.tensors["observations"][frames].numpy(),
            actions=self.tensors["actions"][steps].numpy(),
            rewards=self.tensors["rewards"][steps].numpy(),
            terminated=bool(self.tensors["terminated"][index]),
            truncated=bool(self.tensors["truncated"][index]),
            seed=int(self.tensors["seeds"][index]),
            policy=self.policies[index],
        )


def _check_episode(episode: Episode, spec: StoreSpec) -> None:
    steps = len(episode)
    if steps < 1:
        raise StoreError(f"expected episodes of at least one step, got {episode}")
    expected = {
        "observations": ((steps + 1, *spec.frame_shape), "uint8"),
        "actions": ((steps,), "int64") if spec.action.discrete else ((steps, spec.action.size), "float32"),
        "rewards": ((steps,), "float32"),
    }
    for name, (shape, dtype) in expected.items():
        array = getattr(episode, name)
        if (array.shape, array.dtype) != (shape, dtype):
            raise StoreError(f"expected {name} {shape} {dtype}, got {array.shape} {array.dtype} in {episode}")
    _check_numbers(episode, spec.action)


def _check_numbers(episode: Episode, action: ActionSpec) -> None:
    for name in ("actions", "rewards"):
        wrong = np.flatnonzero(~np.isfinite(getattr(episode, name)).reshape(len(episode), -1).all(1))
        if len(wrong):
            raise StoreError(
                f"expected finite {name}, got {getattr(episode, name)[wrong[0]]} in step {wrong[0]} of {episode}"
            )
    bounds = (0, action.n - 1) if action.discrete else (action.low, action.high)
    least, most = np.array(bounds[0]), np.array(bounds[1])
    slack = 1e-6 * (most - least)  # what float32 rounds
    if ((episode.actions < least - slack) | (episode.actions > most + slack)).any():
        found = f"{episode.actions.min()} to {episode.actions.max()}"
        raise StoreError(f"expected actions from {least} to {most}, got {found} in {episode}")


def _encode(episodes: Sequence[Episode]) -> list[Part]:
    arrays = {
        "observations": [episode.observations for episode in episodes],
        "actions": [episode.actions for episode in episodes],
        "rewards": [episode.rewards for episode in episodes],
        "lengths": [np.array([len(episode) for episode in episodes], np.int64)],
        "terminated": [np.array([episode.terminated for episode in episodes], bool)],
        "truncated": [np.array([episode.truncated for episode in episodes], bool)],
        "seeds": [np.array([episode.seed for episode in episodes], np.int64)],
    }
    return shard_parts(arrays, {"policies": json.dumps([episode.policy for episode in episodes])})


def _read_spec(path: Path) -> StoreSpec:
    try:
        return TypeAdapter(StoreSpec).validate_json(path.read_bytes(), strict=True, extra="forbid")
    except FileNotFoundError:
        raise StoreError(f"no episodes in {path.parent}; collect some first: dreamenv collect --help") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        raise StoreError(f"{path} does not describe a store of episodes: {error}") from None
