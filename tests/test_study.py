"""What the experiments have in common: runner, stored rows, tables; the frontier, an ablation, the zoo's members."""

import json
import os
import re
from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest
import torch
from benchmark_runs import same, where
from dot_settings import DOT_COLLECT, DOT_TRAIN

import dreamenv
from dreamenv.agents.linear import save_linear
from dreamenv.evaluate.scores import Score
from dreamenv.world import showing
from experiments.__main__ import STUDIES, main, overview, parse
from experiments.runner import in_parallel, once
from experiments.show import spread, table
from experiments.trust import ablation, frontier
from experiments.trust.judgement import halves, lying
from experiments.trust.rounds import Rounds, plot
from experiments.trust.zoo import Zoo
from experiments.worlds import facts


def test_jobs_run_side_by_side_on_one_core_each_and_in_order():
    here = (os.getpid(), torch.get_num_threads())
    found = in_parallel(where, [(number,) for number in range(3)], processes=2)

    assert [number for number, *_ in found] == [0, 1, 2]
    assert all(process != here[0] and threads == 1 for _, process, threads in found)
    assert in_parallel(where, [(7,)], processes=0) == [(7, *here)]


def test_studies_are_listed_and_read_by_name(capsys):
    main([])

    assert capsys.readouterr().out.split("\n", 1)[0].startswith("usage: python -m experiments NAME")
    assert all(f"  {name} " in overview() for name in STUDIES)
    assert parse("trust.temperature", "--settings", "1").settings == ("1",)
    with pytest.raises(SystemExit, match="expected one of these studies, got 'trust.nothing'"):
        parse("trust.nothing")


def test_a_frontier_goes_from_frames_to_scores_of_every_budget(tmp_path, dot_folder, monkeypatch, capsys):
    ppo = dreamenv.PPOConfig(timesteps=64, n_steps=8, num_envs=4, batch_size=32)
    short = replace(DOT_TRAIN.vision, fit=replace(DOT_TRAIN.vision.fit, steps=2))
    memory = replace(DOT_TRAIN.memory, fit=replace(DOT_TRAIN.memory.fit, steps=2))
    evolve = dreamenv.EvolveConfig(generations=1, population=2, episodes=1, evaluation_episodes=1)
    settings = frontier.Frontier(
        root=tmp_path,
        env="dot_env:Dot-v0",
        budgets=(400, 800),
        seeds=(0,),
        episodes=2,
        train=replace(DOT_TRAIN, vision=short, memory=memory),
        ppo=ppo,
        dropout=replace(ppo, dropout=0.1),
        few=400,
        evolve=evolve,
    )

    settings.run()
    printed = capsys.readouterr().out
    settings.run()

    rows = json.loads((tmp_path / "frontier.json").read_text())
    found = [(row["agent"], row["budget"]) for row in rows]
    assert found == [("linear", 400), ("linear", 800), ("ppo", 400), ("ppo", 800), ("ppo-dropout", 400)]
    assert all(row["frames"] <= row["budget"] for row in rows)
    assert printed == capsys.readouterr().out and (tmp_path / "frontier.png").stat().st_size > 0


def scored(success):
    return Score(
        "greedy", "real", None, (0, 1), 0.5, 0.1, 0.4, 0.6, success, None, None, 9.0, (0.5,), (9,), (False,),
        deterministic=True, baseline=False,
    )  # fmt: skip


def test_rows_are_made_once(tmp_path):
    made = []

    def make():
        made.append(None)
        return {"mean": 0.5}

    for _ in range(2):
        assert once(tmp_path / "row.json", make, world="a", ppo=dreamenv.PPOConfig()) == {"mean": 0.5}
    assert len(made) == 1


def test_rows_of_other_settings_are_refused(tmp_path):
    once(tmp_path / "row.json", dict, world="a", episodes=100, ppo=dreamenv.PPOConfig())
    with pytest.raises(ValueError, match="other world, ppo: choose another --root"):
        once(tmp_path / "row.json", dict, world="b", episodes=100, ppo=dreamenv.PPOConfig(seed=1))


def test_unknown_success_is_no_failure():
    assert facts(scored(None))["success"] is None
    assert spread([facts(scored(None))]) == "- / 0.500"
    assert spread([facts(scored(s)) for s in (0.0, 1.0)]) == "0.50 (0.00-1.00) / 0.500"


def test_rounds_stand_beside_their_frames(tmp_path):
    rounds = [
        {"frames": n, "dream": facts(scored(1.0)), "real": facts(scored(s))} for n, s in ((40_010, 0.5), (45_020, None))
    ]
    row = {"setting": "narrow, then rounds", "seed": 1, "rounds": rounds}
    row |= {"test greedy": facts(scored(0.9)), "test sampling": facts(scored(0.8))}
    cells = re.split(r"\s{2,}", table([row], Rounds.layout.keys, Rounds.layout.columns).splitlines()[-1])
    assert cells == [
        *("narrow, then rounds", "1", "45,020", "0.50 / 0.500, - / 0.500"),
        *("0.90 / 0.500", "0.80 / 0.500"),
    ]
    plot([row], tmp_path / "rounds.png")
    assert (tmp_path / "rounds.png").stat().st_size > 10_000


def test_an_ablation_changes_one_thing_of_the_recipe(dot_folder, tmp_path, monkeypatch, capsys):
    ppo = dreamenv.PPOConfig(timesteps=64, n_steps=8, num_envs=4, batch_size=32)
    short = replace(DOT_TRAIN.memory, fit=replace(DOT_TRAIN.memory.fit, steps=1))
    worlds = {"recipe": DOT_TRAIN, "short": replace(DOT_TRAIN, memory=short)}
    changes = {"the recipe": ("recipe", ppo), "M: one step": ("short", ppo)}
    changes |= {"agent: z only": ("recipe", replace(ppo, inputs=("z",)))}
    monkeypatch.setattr(ablation, "WORLDS", {name: (DOT_COLLECT.exploration, of) for name, of in worlds.items()})
    monkeypatch.setattr(ablation, "SETTINGS", changes)
    settings = ablation.Ablation(
        root=tmp_path / "changed",
        settings=tuple(changes),
        frontier=tmp_path / "frontier",
        frames=4000,
        seeds=(0,),
        episodes=3,
        processes=0,
    )
    recipe = settings.place("recipe", 0)
    copytree(dot_folder, recipe)
    dreamenv.train_ppo(recipe, recipe / "agents" / "ppo", ppo)

    settings.run()

    printed = capsys.readouterr().out.splitlines()
    rows = json.loads((tmp_path / "changed" / "ablation.json").read_text())

    before, changed = (dreamenv.load(settings.place(name, 0)) for name in ("recipe", "short"))
    assert same(before.model.vision, changed.model.vision)
    assert not same(before.model.memory, changed.model.memory)
    assert dreamenv.load_agent(recipe / "agents" / "agent-z-only").inputs == ("z",)
    assert [row["setting"] for row in rows] == list(changes)
    assert all(set(row) >= set(ablation.PLACES) and not any("test" in key for key in row) for row in rows)
    assert [line.split("  ")[0] for line in printed[-3:]] == list(changes)
    assert (tmp_path / "changed" / "ablation.png").stat().st_size > 0

    monkeypatch.setattr(dreamenv, "train_ppo", None)  # everything is there
    assert [settings.measure(change, 0) for change in changes] == rows


def test_both_halves_of_the_zoo_have_agents_of_every_kind():
    kinds = ["honest"] * 4 + ["50,000-steps", "exploit"]
    rows = [{"world": world, "agent": kind} for world in "abcdefgh" for kind in kinds]
    one, other = halves(rows)
    assert sorted(map(str, one + other)) == sorted(map(str, rows))
    for kind in set(kinds):
        assert abs(sum(row["agent"] == kind for row in one) / kinds.count(kind) - 4) <= 2
    assert halves(rows) == (one, other)


def test_dreams_lie_by_the_share_that_reality_does_not_pay():
    rows = [
        {"dream": d, "validation greedy": {"mean": r}} for d, r in ((0.8, 0.3), (0.8, 0.5), (-100, -100), (-10, -20))
    ]
    assert lying(rows, 0.5).tolist() == [True, False, False, True]


def test_agents_enter_the_zoo_once_and_under_their_own_name(dot_folder, dot_world, dot_agent_folder, tmp_path):
    def save(folder, world, fill=0.0, inputs=("z", "h")):
        action = world.config.action
        weight = np.full((action.n, world.feature_size), fill, np.float32)
        agent = dreamenv.LinearAgent(weight, np.zeros(action.n, np.float32), action, inputs=inputs)
        save_linear(agent, tmp_path / folder, world)

    for fill, name in enumerate("ab"):
        save(f"{name}/agents/linear", dot_world, fill)
        save(f"{name}/copy", dot_world, fill)
    save("sees-z", showing(dot_world, ("z",)), inputs=("z",))

    zoo = Zoo(worlds=(dot_folder,), agents=(tmp_path,), extras=("exploit",), root=tmp_path / "zoo")
    found = zoo.members(dot_folder)

    prefix = "-".join(tmp_path.parts[1:])
    assert [name for name, _ in found] == [f"{prefix}-{name}-agents-linear" for name in "ab"] + ["exploit"]
