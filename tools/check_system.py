"""Checks that the real environment can draw on this machine; ``make setup`` runs it."""

from __future__ import annotations

import subprocess
import sys

ENV_ID = "MiniWorld-Sidewalk-v0"
# A process of its own: a broken graphics driver ends in a crash, not in an exception.
DRAW = f"""
import sys
from dreamenv.real.make import make_real
from dreamenv.foundation.errors import RenderingError
try:
    make_real({ENV_ID!r}).reset(seed=0)
except RenderingError as error:
    sys.exit(str(error))
"""


def main() -> int:
    """Draws one frame and says in one line whether that worked.

    Returns:
        0 if it did, 1 if not.
    """
    result = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, timeout=300)
    if result.returncode == 0:
        print(f"system libraries: OK ({ENV_ID} draws)")
        return 0
    print(f"system libraries: {_reason(result)}", file=sys.stderr)
    return 1


def _reason(result: subprocess.CompletedProcess[str]) -> str:
    from dreamenv.real.make import GL_PACKAGES  # only here: the import takes seconds

    lines = result.stderr.strip().splitlines()
    reason = lines[-1] if lines and result.returncode > 0 else f"drawing crashed ({result.returncode})"
    if GL_PACKAGES in reason:
        return reason
    return f"{ENV_ID} cannot draw: {reason.rstrip('.')}. On Debian or Ubuntu: apt-get install {GL_PACKAGES}"


if __name__ == "__main__":
    sys.exit(main())
