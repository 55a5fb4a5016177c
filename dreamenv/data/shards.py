"""The bytes of a shard as a list of parts, so that frames are written without a second copy in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Part: TypeAlias = bytes | memoryview
_DTYPES = {"int64": "I64", "float32": "F32", "uint8": "U8", "bool": "BOOL"}  # in the order of the library: wide first


def shard_parts(arrays: Mapping[str, Sequence[NDArray]], metadata: Mapping[str, str]) -> list[Part]:
    """Encodes tensors in the safetensors format, byte for byte as ``safetensors.torch.save`` does.

    Args:
        arrays: The pieces of every tensor, to be joined along the first axis; int64, float32, uint8 or bool.
        metadata: Text to be kept beside the tensors.

    Returns:
        The header, then the memory of every piece, not copied where it is contiguous.
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
