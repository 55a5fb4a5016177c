"""Which products are fast on a processor; memory that is freed stays with the process where the library allows it."""

import platform
import subprocess
import sys

import pytest
import torch

from dreamenv.foundation import processor

FAULTS = """
import resource, torch
from dreamenv.foundation.processor import keep_freed_memory
{}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()  # the C library may still place the first ones anew
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_memory_is_fetched_once():
    def faults(call):
        command = [sys.executable, "-c", FAULTS.format(call)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert faults("keep_freed_memory()") < 0.1 * faults("")


@pytest.mark.parametrize(
    ("maker", "capability", "fast"),
    [("GenuineIntel", "AVX512", True), ("AuthenticAMD", "AVX2", True), ("AuthenticAMD", "AVX512_BF16", False)],
)
def test_mkl_leaves_the_avx512_of_others_unused(maker, capability, fast, monkeypatch, tmp_path):
    facts = tmp_path / "cpuinfo"
    facts.write_text(f"vendor_id : {maker}")
    monkeypatch.setattr(processor, "Path", lambda _: facts)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)

    assert processor.mkl_is_fast.__wrapped__() is fast


@pytest.mark.parametrize(
    ("facts", "capability", "fast"),
    [
        ("GenuineIntel avx512_bf16 amx_bf16 amx_tile", "AVX512", True),
        ("GenuineIntel avx512_bf16", "AVX512", False),
        ("AuthenticAMD avx512_bf16", "AVX512", True),
        ("AuthenticAMD avx512f", "AVX512", False),
        ("AuthenticAMD avx2", "AVX2", False),
        ("CPU implementer : 0x41", "SVE256", True),
    ],
)
def test_not_all_that_have_bfloat16_are_fast_at_it(facts, capability, fast, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(facts)
    monkeypatch.setattr(processor, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)

    assert processor.bfloat16_is_fast(torch.device("cpu")) is fast
    assert processor.bfloat16_is_fast(torch.device("cuda"))
