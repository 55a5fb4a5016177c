"""Keeps torch to one thread in forked processes, without importing torch.

OpenMP's threads do not survive a fork, and GNU's OpenMP waits for them forever if the parent has used them. PyTorch's
DataLoader limits its workers in the same way.
"""

from __future__ import annotations

import os
import sys


def _after_fork() -> None:
    global _pending
    _pending = "torch" not in sys.modules
    if not _pending:
        sys.modules["torch"].set_num_threads(1)


def limit_threads() -> None:
    """Limits torch to one thread in a process that was forked before torch was loaded."""
    if _pending:
        sys.modules["torch"].set_num_threads(1)


_pending = False

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
