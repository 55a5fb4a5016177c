"""Memory that is freed stays with the process, where the C library can be asked for it."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from dreamenv.processor import keep_freed_memory
{}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(2**24)
before = faults()
for _ in range(10):
    torch.ones(2**24)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_memory_is_fetched_once():
    def faults(call):
        command = [sys.executable, "-c", FAULTS.format(call)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert faults("keep_freed_memory()") < 0.1 * faults("")
