"""The measurements of speed measure; what they find depends on the machine, and is not asserted."""

import json
import math
import re

from benchmark_runs import run_benchmark

from benchmarks.speed import frames_io


def test_reading_frames_is_measured(capsys):
    frame = math.prod(frames_io.SHAPE)
    frames_io.main(episodes=8, reads=100)

    rows = re.findall(r"^(store|memory map) +([\d,]+) +([\d,]+)$", capsys.readouterr().out, re.MULTILINE)
    assert [row[0] for row in rows] == ["store", "memory map"]
    sizes = [int(row[2].replace(",", "")) for row in rows]
    assert all(int(row[1].replace(",", "")) > 0 for row in rows)
    assert all(frame <= size < 1.1 * frame for size in sizes)  # both hold whole frames, and little else


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


def test_the_time_of_a_decision_is_measured():
    short = "--candidates 4 8 --horizon 2 --iterations 1 --num-envs 1 2 --turns 1 --seconds 0.01"
    printed = run_benchmark("speed.planner", short)

    assert re.findall(r"^ +([48]) +\d\.\d{3} +\d\.\d{3}$", printed, re.MULTILINE) == ["4", "8"]
