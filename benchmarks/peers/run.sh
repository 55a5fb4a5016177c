#!/bin/sh
# Installs the peers beside dreamenv into a virtual environment of their own, then times them all.
# Arguments go to peers.py: sh benchmarks/peers/run.sh --turns 20
set -eu
cd "$(dirname "$0")/../.."
here=benchmarks/peers
venv=$here/.venv

# The peers come without what they depend on: their pins are old, and some ask for packages that no step needs.
if [ ! -e $venv/.installed ] || [ $here/requirements.txt -nt $venv/.installed ] || [ constraints.txt -nt $venv/.installed ]; then
    "${PYTHON:-python3}" -m venv $venv
    $venv/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable .
    $venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --requirement $here/requirements.txt
    touch $venv/.installed
fi
exec $venv/bin/python $here/peers.py "$@"
