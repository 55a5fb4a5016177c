"""Facts about this machine's processor, and the settings of its memory and threads that torch runs fast with."""

from __future__ import annotations

import ctypes
import platform
from functools import lru_cache
from pathlib import Path

import torch

from dreamenv.foundation.fork import limit_threads


@lru_cache
def mkl_is_fast() -> bool:
    """Whether MKL, torch's default for float32 products, is as fast as oneDNN on this processor.

    MKL does not use AVX-512 on processors that Intel did not make; oneDNN's products are twice as fast there.
    """
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return True  # torch has only one of the two
    return "GenuineIntel" in _facts() or "AVX512" not in torch.backends.cpu.get_cpu_capability()


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether a device multiplies faster in bfloat16 than in float32.

    Intel: only with AMX, because AVX512_BF16 is half as fast as float32. AMD: with AVX512_BF16, twice as fast.
    Processors without such instructions are five to seventy times slower in bfloat16, and torch's LSTM may fail.
    """
    if device.type != "cpu":
        return True
    if torch.backends.cpu.get_cpu_capability().startswith("SVE"):
        return True
    facts = _facts()
    return "amx_bf16" in facts or ("AuthenticAMD" in facts and "avx512_bf16" in facts)


def _facts() -> str:
    """Maker and instruction sets of this processor; the maker alone on systems other than Linux."""
    listed = Path("/proc/cpuinfo")
    return listed.read_text() if listed.exists() else platform.processor()


def keep_freed_memory() -> None:
    """Makes glibc reuse the memory of freed tensors instead of returning it to the system, in this whole process.

    By default glibc returns blocks of more than 32 MB at once, and the system zeroes them page by page before the next
    use. The activations of V are such blocks, at every training step. Other C libraries are not changed. See
    ``man mallopt``.
    """
    libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if libc is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)  # larger blocks still go back
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # <malloc.h>

limit_threads()
