"""Starved worlds, agents of many temperatures in them, and the zoo that asks which signs tell how they fare."""

import json

from benchmark_runs import run_experiment

import dreamenv
from experiments.trust.judgement import CANDIDATES, judgement

VISION = "--train.vision.model.frame-shape 16 32 3 --train.vision.model.channels 16 32"
LATENT = "--train.vision.model.latent-size 8 --train.memory.model.hidden-size 32 --train.memory.model.components 3"
MEMORY = "--train.memory.fit.steps 1 --train.memory.batch-size 2"
PPO = "--ppo.timesteps 64 --ppo.n-steps 8 --ppo.num-envs 4 --ppo.batch-size 32"


def test_starved_worlds_and_their_agents_enter_the_zoo(tmp_path, dot_folder, dot_world, capsys):
    frames = f"--world {dot_folder} --root {tmp_path}/starved --frames 400"
    printed = run_experiment(capsys, "trust.starved", f"{frames} {VISION} {LATENT} {MEMORY}")
    starved = tmp_path / "starved" / "400-seed0"
    weights, good_weights = (world.model.vision.state_dict() for world in (dreamenv.load(starved), dot_world))
    assert all(tensor.equal(good_weights[name]) for name, tensor in weights.items())
    assert f"{dreamenv.EpisodeStore(starved / 'episodes').num_frames:,} frames" in printed

    agents = f"--world {starved} --settings 0.1 '1, dropout 0.1' --seeds 0 --episodes 1 --processes 0 {PPO}"
    run_experiment(capsys, "trust.temperature", f"--root {tmp_path}/agents {agents}")
    assert (tmp_path / "agents" / "temperature.png").stat().st_size > 0
    zoo = f"--worlds {starved} --agents {tmp_path / 'agents'} --extras --episodes 1 --processes 0 --trust.dreams 4"
    printed = run_experiment(capsys, "trust.zoo", f"--root {tmp_path}/zoo {zoo}")

    rows = json.loads((tmp_path / "zoo" / "zoo.json").read_text())
    assert [row["agent"].split("-agents-")[1] for row in rows] == ["0.1-seed0", "1-dropout-0.1-seed0"]
    assert all({"dream", "validation greedy", "shortfall", "haste", "novelty"} <= set(row) for row in rows)
    assert "The half for choosing: 1 agents" in printed


def member(shortfall, haste, real):
    signs = {
        "shortfall": shortfall,
        "excess": shortfall - 1.0,
        "haste": haste,
        "dream": 1.0 + shortfall,
        "believed": 1.0 - shortfall,
    }
    return {**signs, **dict.fromkeys(CANDIDATES, shortfall), "validation greedy": {"mean": real}}


def test_colours_are_judged_beside_the_signs():
    honest = [member(0.0, 0.1, 1.0), member(0.2, 0.0, 0.95), member(0.5, 0.0, 1.05)]  # green, amber, red
    rows = [*honest, member(0.9, 0.1, 0.1)]
    areas = {
        line.split()[0]: line.split()[2]
        for line in judgement(rows).splitlines()
        if line.startswith(("doubt", "colours"))
    }

    assert areas == {"doubt": "1.000", "colours": "0.833"}  # the liar is the largest sign, but one of two that are red
