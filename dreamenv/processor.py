"""What the processor of this machine is fast at."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path

import torch


@lru_cache
def mkl_is_fast() -> bool:
    """Whether torch's float32 products, by MKL, use all of this processor; on others oneDNN's are twice as fast."""
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return True  # there is no choice
    facts = Path("/proc/cpuinfo")
    return "GenuineIntel" in (facts.read_text() if facts.exists() else platform.processor())


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16.

    Processors without them multiply in bfloat16 seventy times more slowly than in float32, and torch's LSTM fails.
    """
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE"))
