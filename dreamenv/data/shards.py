"""Shards of episodes: one safetensors file each, encoded without a second copy of the frames in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from dreamenv.data.episodes import Episode
from dreamenv.foundation.errors import SettingsError, StoreError
from dreamenv.real.spec import StoreSpec

Part: TypeAlias = bytes | memoryview
_DTYPES = {
    "int64": "I64",
    "float32": "F32",
    "uint8": "U8",
    "bool": "BOOL",
}  # safetensors orders wide types first


def shard_parts(arrays: Mapping[str, Sequence[NDArray]], metadata: Mapping[str, str]) -> list[Part]:
    """Encodes tensors in the safetensors format, byte for byte as ``safetensors.torch.save`` does.

    Args:
        arrays: The pieces of every tensor, which are joined along the first axis; int64, float32, uint8 or bool.
        metadata: Text that is stored beside the tensors.

    Returns:
        The header, then the memory of every piece. Contiguous pieces are not copied.
    """
    order = list(_DTYPES)
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    parts: list[Part] = []
    end = 0
    for name in sorted(arrays, key=lambda name: (order.index(str(arrays[name][0].dtype)), name)):
        pieces = arrays[name]
        shape = [sum(len(piece) for piece in pieces), *pieces[0].shape[1:]]
        begin, end = end, end + math.prod(shape) * pieces[0].itemsize
        header[name] = {"dtype": _DTYPES[str(pieces[0].dtype)], "shape": shape, "data_offsets": [begin, end]}
        parts += [np.ascontiguousarray(piece).data.cast("B") for piece in pieces if piece.size]
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *parts]


def encode(episodes: Sequence[Episode]) -> list[Part]:
    """Encodes episodes as the bytes of one shard, in parts."""
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


class Shard:
    """A shard on disk. Its tensors are views of the memory-mapped file.

    Args:
        path: The file.
        spec: Facts about the episodes of the store.

    Raises:
        StoreError: If the file is not a shard of such episodes.
    """

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
        """Returns one episode, whose arrays are views of the file."""
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
