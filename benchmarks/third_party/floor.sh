#!/bin/sh
# Runs the tests with the lowest versions that pyproject.toml allows, in a virtual environment of its own.
# Arguments go to pytest: sh benchmarks/third_party/floor.sh tests/test_dream_env.py
set -eu
cd "$(dirname "$0")/../.."
here=benchmarks/third_party
. $here/install.sh

venv=${VENVS:-$here/.venv}/floor
mkdir -p "$venv"
"${PYTHON:-python3}" - >"$venv.txt" <<'PYTHON'
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
lowest = [need.replace(">=", "==") for need in project["dependencies"] + project["optional-dependencies"]["vizdoom"]]
print(*lowest, "pytest", "pytest-timeout", "hypothesis", "sb3-contrib", sep="\n")
PYTHON
install "$venv" "$venv.txt"
# The lowest versions meet newer ones of what they need, which deprecate calls of theirs.
exec "$venv/bin/python" -m pytest -W ignore::DeprecationWarning "$@"
