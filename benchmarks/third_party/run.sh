#!/bin/sh
# Installs every library beside dreamenv into a virtual environment of its own, runs its checks and prints one table.
# Arguments choose libraries: sh benchmarks/third_party/run.sh torchrl ray
set -eu
cd "$(dirname "$0")/../.."
here=benchmarks/third_party
venvs=${VENVS:-$here/.venv}
. $here/install.sh

export OMP_NUM_THREADS=1  # two threads gain little, and lose much beside other work
failed=0
mkdir -p "$venvs"
echo "| library | | versions | steps | what was checked |"
echo "|---|---|---|---|---|"
for library in ${*:-gymnasium rl_zoo3 cleanrl torchrl tianshou rllib minari}; do
    install "$venvs/$library" $here/requirements/$library.txt
    # CleanRL's release asks for Gym, Python 3.10 and old versions of everything; its ppo.py needs none of them.
    if [ $library = cleanrl ]; then
        "$venvs/cleanrl/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --ignore-requires-python cleanrl==1.2.0
    fi
    status=0
    timeout 600 "$venvs/$library/bin/python" $here/with_$library.py 2>"$venvs/$library.log" >"$venvs/$library.out" || status=$?
    grep '^| ' "$venvs/$library.out" || true
    if [ $status = 124 ]; then
        echo "| $library | fail | | | no end within 600 seconds |"
    fi
    if [ $status != 0 ]; then
        failed=1
        echo "$library: see $venvs/$library.log" >&2
    fi
done
exit $failed
