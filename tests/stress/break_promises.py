"""Breaks promises of the package on purpose, one at a time in a copy, and says which tests notice.

Run `python tests/stress/break_promises.py`. A promise whose breakage no test notices needs a test.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

ROOT = Path(__file__).parents[2]
# promise: (file, what it says, what it says when broken, tests that should notice)
PROMISES = {
    "content is on the disk before its name": (
        "foundation/files.py",
        "            os.fsync(file.fileno())\n",
        "",
        "test_files.py",
    ),
    "a file has the sum of its manifest": ("manifest.py", "if found == expected:", "if True:", "test_bundle.py"),
    "a bundle is replaced as one": (
        "foundation/manifest.py",
        'write_bytes(folder / f"{NEXT}{name}", data)',
        "write_bytes(folder / name, data)",
        "stress/test_saving.py",
    ),
    "only plain files are read": (
        "foundation/manifest.py",
        "os.O_RDONLY | os.O_NOFOLLOW",
        "os.O_RDONLY",
        "stress/test_strangers.py",
    ),
    "no module is imported because a world names it": (
        "real/named.py",
        "if colon and module not in sys.modules",
        "if False",
        "stress/test_strangers.py",
    ),
    "one writer at a time": (
        "foundation/files.py",
        "        lock.acquire(timeout=0)\n",
        "        pass\n",
        "stress/test_collected.py",
    ),
    "held-out episodes stay held out": (
        "data/store.py",
        "sides[index % VALIDATION_EVERY == VALIDATION_EVERY - 1]",
        "sides[(len(self) - index) % VALIDATION_EVERY == 0]",
        "test_episodes.py",
    ),
    "h has seen every z but the last": (
        "models/mdnrnn/model.py",
        "h, carry = self.memory.advance(state.z, action, state.h, state.carry)",
        "h, carry = self.memory.advance(torch.zeros_like(state.z), action, state.h, state.carry)",
        "test_latent_env.py",
    ),
    "endings are not tempered": (
        "world.py",
        "ending = decide_ending(outlook.endings,",
        "ending = decide_ending(torch.softmax(outlook.endings.log() / tau[:, None], 1),",
        "test_dream_env.py",
    ),
    "noise is scaled by the root of the temperature": (
        "models/latent.py",
        "scale * tau.sqrt()",
        "scale * tau",
        "test_mdn.py",
    ),
    "what ended is not cut off as well": (
        "envs/dream_batch.py",
        "truncated = ~terminated & (state.step",
        "truncated = (state.step",
        "test_dream_env.py test_vector_autoreset.py",
    ),
    "environment i has seed s + i": (
        "envs/streams.py",
        "[int(seed) + i for i",
        "[int(seed) for i",
        "test_vector_autoreset.py",
    ),
    "a resumed training repeats an uninterrupted one": (
        "training/checkpoint.py",
        '    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})\n',
        "",
        "test_fit.py",
    ),
    "a loss that is not finite stops": (
        "training/fit.py",
        "if not torch.isfinite(value):",
        "if False:",
        "test_fit.py",
    ),
    "a damaged checkpoint is not restored": (
        "training/checkpoint.py",
        'if sha256(data).hexdigest() == path.stem.rpartition("-")[2]:',
        "if True:",
        "test_fit.py",
    ),
}


def main() -> None:
    rows = []
    for promise, (file, intact, broken, tests) in tqdm(PROMISES.items(), unit="promise"):
        with tempfile.TemporaryDirectory() as copy:
            for name in ("dreamenv", "tests", "pyproject.toml"):
                source, target = ROOT / name, Path(copy) / name
                shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
            path = Path(copy) / "dreamenv" / file
            text = path.read_text()
            if intact not in text:
                sys.exit(f"{file} does not say {intact!r} any more; bring this list up to date")
            path.write_text(text.replace(intact, broken))
            rows.append((promise, noticed(Path(copy), tests)))
    print(tabulate(rows, ("broken promise", "noticed by"), disable_numparse=True))
    if any(not tests for _, tests in rows):
        sys.exit("some breakage was noticed by no test")


def noticed(copy: Path, tests: str) -> str:
    """Names of the first tests that fail in a copy."""
    command = [sys.executable, "-m", "pytest", "-q", "--maxfail=3", *(f"tests/{name}" for name in tests.split())]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    failed = [line.split()[1] for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "\n".join(dict.fromkeys(name.removeprefix("tests/").partition("[")[0] for name in failed))


if __name__ == "__main__":
    main()
