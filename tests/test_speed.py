"""The measurements of speed measure; what they find depends on the machine, and is not asserted."""

import json
import re

from benchmark_runs import run_benchmark

from benchmarks.speed import frames_io


def test_reading_frames_is_measured(capsys):
    frames_io.main(episodes=8, reads=100)

    assert "/s" in capsys.readouterr().out


def test_the_speed_of_training_and_reality_is_measured(tmp_path):
    short = "--frames 300 --steps 1 --turns 1 --seconds 0.01 --num-envs 2"
    run_benchmark("speed.training", f"{short} --out {tmp_path}/speed.json")

    found = json.loads((tmp_path / "speed.json").read_text())
    assert [row["model"] for row in found["training"]] == ["V", "M"]
    assert all(0.0 < row["share waiting for data"] < 1.0 for row in found["training"])


def test_batch_invariance_is_counted():
    printed = run_benchmark("speed.invariance", "--sizes 1 3 --steps 20 --modes-steps 40")

    assert re.findall(r"^ +[13] +20 +(\d+)$", printed, re.MULTILINE) == ["0", "0"]
    assert re.findall(r"^\w+ +40 +(\d+) +\d+$", printed, re.MULTILINE) == ["0", "0", "0"]


def test_the_speed_of_dreams_is_measured(tmp_path):
    short = "--sizes 1 3 --hidden 32 --turns 1 --seconds 0.01 --generations 1"
    printed = run_benchmark("speed.dream", f"{short} --out {tmp_path}/speed.json")

    assert "two threads" in printed
    assert [row["dreams"] for row in json.loads((tmp_path / "speed.json").read_text())["sizes"]] == [1, 3]
