"""What the processor of this machine is fast at, how not to slow it down, and torch's threads in forked processes."""

from __future__ import annotations

import ctypes
import os
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
    return "GenuineIntel" in _facts() or "AVX512" not in torch.backends.cpu.get_cpu_capability()


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether a device multiplies faster in bfloat16 than in float32.

    Of Intel's processors only those with AMX do: their AVX512_BF16 is half as fast as float32. AMD's is twice as fast.
    Processors without such instructions are five to seventy times slower, and torch's LSTM may fail.
    """
    if device.type != "cpu":
        return True
    if torch.backends.cpu.get_cpu_capability().startswith("SVE"):
        return True
    facts = _facts()
    return "amx_bf16" in facts or ("AuthenticAMD" in facts and "avx512_bf16" in facts)


def _facts() -> str:
    """Maker and instructions of this processor, or the maker alone where Linux does not list them."""
    listed = Path("/proc/cpuinfo")
    return listed.read_text() if listed.exists() else platform.processor()


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


def _use_one_thread() -> None:
    """Keeps torch from waiting for threads that a forked process does not have.

    OpenMP's threads do not survive a fork, and GNU's OpenMP waits for them without end once the parent has used them.
    PyTorch's DataLoader does the same in its workers.
    """
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_use_one_thread)
