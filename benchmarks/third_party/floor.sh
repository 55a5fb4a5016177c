#!/bin/sh
# Runs the tests with the lowest versions that pyproject.toml allows, in a virtual environment of its own.
# torch keeps to constraints.txt, since an older one brings gigabytes of CUDA. Arguments go to pytest: sh benchmarks/third_party/floor.sh tests/test_dream_env.py
set -eu
cd "$(dirname "$0")/../.."
here=benchmarks/third_party
. $here/install.sh

venv=${VENVS:-$here/.venv}/floor
mkdir -p "$venv"
"${PYTHON:-python3}" - >"$venv.txt" <<'PYTHON'
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
needs = project["dependencies"] + project["optional-dependencies"]["vizdoom"]
lowest = [need.replace(">=", "==") for need in needs if not need.startswith("torch>")]
print(*lowest, "pydantic-core", "pytest==9.0", "pytest-timeout==2.4", "hypothesis==6.150", "sb3-contrib==2.9", sep="\n")
PYTHON
install "$venv" "$venv.txt"
# The lowest versions meet newer ones of what they need, which deprecate calls of theirs.
exec "$venv/bin/python" -m pytest -W ignore::DeprecationWarning "$@"
