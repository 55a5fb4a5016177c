"""What the processor of this machine is fast at, and how not to slow it down."""

from __future__ import annotations

import ctypes
import platform
from functools import lru_cache
from pathlib import Path

import torch


@lru_cache
def mkl_is_fast() -> bool:
    """Whether torch's float32 products, by MKL, use all of this processor.

    MKL leaves the AVX-512 of other makers than Intel unused; there oneDNN's products are twice as fast.
    """
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return True  # there is no choice
    facts = Path("/proc/cpuinfo")
    maker = facts.read_text() if facts.exists() else platform.processor()
    return "GenuineIntel" in maker or "AVX512" not in torch.backends.cpu.get_cpu_capability()


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16.

    Processors without them multiply in bfloat16 seventy times more slowly than in float32, and torch's LSTM fails.
    """
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE"))


def keep_freed_memory() -> None:
    """Asks the C library, for this whole process, to keep the memory that tensors leave for those that follow.

    glibc gives blocks of more than 32 MB back at once, and gets them again zeroed, page by page: with the activations
    of V, at every step of its training. Other C libraries are left as they are. See ``man mallopt``.
    """
    libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if libc is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)  # larger blocks still go back
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # <malloc.h>
