"""Signs that a dream lies."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch

from dreamenv import EpisodeStore, LinearAgent, TrustConfig, load_agent, trust
from dreamenv.agents.linear import save_linear
from dreamenv.agents.observing import ObservingAgent
from dreamenv.cli.run import main
from dreamenv.evaluate.scores import ConstantPolicy, is_success
from dreamenv.foundation.files import to_json
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.real.make import make_real_vector
from dreamenv.rollouts import Outcome, Trajectory, rollout
from dreamenv.verdict.failures import failures
from dreamenv.verdict.judgement import LIMITS, Sign, believed, evidence, light
from dreamenv.verdict.offpolicy import Experience
from dreamenv.verdict.show import trust_facts, trust_table
from dreamenv.verdict.signals import (
    FEW_SUCCESSES,
    Records,
    exceedance,
    excess,
    haste,
    neighbour_distance,
    novelty,
    read_records,
    shortfall,
    strangest_moments,
)
from dreamenv.verdict.trust import dream

FEW = TrustConfig(dreams=40, gamma=0.95)


@pytest.fixture(scope="module")
def store(dot_folder):
    return EpisodeStore(dot_folder / "episodes")


@pytest.fixture(scope="module")
def records(dot_world, store):
    return read_records(dot_world, *store.split())


@pytest.fixture(scope="module")
def agent(dot_agent_folder):
    return load_agent(dot_agent_folder)


@pytest.fixture(scope="module")
def lying_world(dot_world):
    """A world in which every step reaches the goal."""
    memory = copy.deepcopy(dot_world.model.memory)
    memory.endings.shift[2] -= 30.0
    return dataclasses.replace(dot_world, model=MDNRNN(dot_world.model.vision, memory), identity=None)


def test_neighbours_are_the_nearest():
    references = torch.tensor([[0.0], [1.0], [10.0]])
    found = neighbour_distance(torch.tensor([[0.0], [4.0]]), references, neighbours=2)
    assert found.tolist() == pytest.approx([0.5, 3.5])


def test_exceedance_is_a_share():
    assert exceedance(torch.tensor([0.0, 2.5, 9.0]), torch.tensor([3.0, 1.0, 2.0, 4.0])).tolist() == [0.0, 0.5, 1.0]


def test_real_states_are_not_novel_and_impossible_ones_are(dot_world, records):
    real = novelty(dot_world, records, records.held_out)
    impossible = novelty(dot_world, records, -records.held_out.flip(1).roll(7, 1))
    assert float(real.mean()) == pytest.approx(0.5, abs=0.1)
    assert float(impossible.mean()) > 0.95


def test_haste_is_the_share_of_record_breaking_successes(dot_world, records):
    quickest = int(records.seen_steps[records.seen_successes].min())
    outcomes = [Outcome(i, i, 0.9, 0.9, quickest + d, True) for i, d in enumerate((-1, 0, 5, -1))]
    failures = [Outcome(9, 9, 0.0, 0.0, 1, True)]
    assert haste(dot_world, records, outcomes + failures) == 0.5
    assert haste(dot_world, records, failures) == 0.0
    few = records.seen_successes & (records.seen_successes.cumsum(0) < FEW_SUCCESSES)
    assert haste(dot_world, dataclasses.replace(records, seen_successes=few), outcomes) == 0.0


def test_the_discount_looks_as_far_ahead_as_an_episode_lasts():
    assert TrustConfig().discount(150) == pytest.approx(0.99)
    assert TrustConfig().discount(2100) == pytest.approx(1 - 1 / 1400)
    assert TrustConfig(gamma=0.5).discount(150) == 0.5


def test_worlds_without_successes_know_no_haste(dot_world, store):
    config = dataclasses.replace(dot_world.config, endings=("same",), ending_rules=("sample",))
    world = dataclasses.replace(dot_world, config=config, identity=None)
    found = read_records(world, *store.split())
    assert not found.seen_successes.any()
    assert haste(world, found, [Outcome(0, 0, 0.9, 0.9, 1, True)]) == 0.0


def test_who_promises_nothing_lacks_nothing(dot_world, records):
    stays = ConstantPolicy(2)
    outcomes = dream(dot_world, stays, FEW)
    assert max(outcome.episode_return for outcome in outcomes) < 0.5
    assert abs(shortfall(dot_world, stays, records, outcomes, gamma=0.95, ridge=30.0)) < LIMITS["shortfall"].amber


def test_an_honest_dream_is_believed(dot_world, agent, store):
    result = trust(dot_world, agent, store, FEW)
    assert result.light == "green", result.signs
    assert result.reasons == ()
    assert (result.gaps, result.best_temperature) == ((), None)
    assert result.believed == pytest.approx(result.dream.mean, abs=0.1)
    assert {sign.name for sign in result.signs} == set(LIMITS)


def test_a_lying_dream_is_not(lying_world, store):
    """It promises the goal at the first step, so the agent that never moves believes to win."""
    result = trust(lying_world, ConstantPolicy(2), store, FEW)
    assert result.dream.success == 1.0
    assert result.light == "red"
    assert {sign.name: sign.light for sign in result.signs} == {"shortfall": "red", "excess": "green", "haste": "red"}
    assert set(result.reasons) == {LIMITS["haste"].says, LIMITS["shortfall"].says}
    assert result.believed < 0.2 * result.dream.mean


def test_real_episodes_measure_the_gap(lying_world, store):
    config = TrustConfig(dreams=20, real_episodes=10, temperatures=(0.5, 1.0))
    result = trust(lying_world, ConstantPolicy(2), store, config)
    assert {gap.temperature for gap in result.gaps} == {0.5, 1.0}
    assert {gap.difference for gap in result.gaps if gap.quantity == "success"} == {1.0}
    assert result.best_temperature == 0.5
    assert {failure.promised for failure in result.failures} == {1.0}
    assert len(result.failures) == 10


def test_dreams_on_from_real_failures_tell_who_was_wrong(dot_world, lying_world):
    """Standing still fails in reality; the honest dream knows, the lying one promises the goal."""
    stays, seeds = ConstantPolicy(2), range(5)
    env = make_real_vector("dot_env:Dot-v0", 2)
    played = list(rollout(env, stays, seeds, record=True))
    for world, promised in ((dot_world, 0.0), (lying_world, 1.0)):
        found = failures(world, stays, played, temperature=1.0, dreams=4)
        assert [failure.seed for failure in found] == list(seeds)
        assert {(f.length, f.terminated, f.branch, f.promised) for f in found} == {(20, False, 10, promised)}


def test_successes_are_no_failures(dot_world, agent):
    seeds = range(20)
    actor = ObservingAgent(dot_world, agent, (0.0,), seeds)
    played = list(rollout(make_real_vector("dot_env:Dot-v0", 4), actor, seeds, record=True))
    lost = {outcome.seed for outcome in played if not is_success(outcome, dot_world.config)}
    assert {failure.seed for failure in failures(dot_world, agent, played, temperature=1.0)} == lost
    assert len(lost) < 10


def test_the_strip_shows_the_strangest_dream_and_what_the_records_have(dot_world, agent, store, records):
    seen, _ = store.split()
    outcomes = dream(dot_world, agent, FEW)
    strip = strangest_moments(dot_world, records, seen, outcomes, frames=3)
    assert strip.dreamed.shape == strip.recorded.shape == (3, *dot_world.config.frame_shape)
    assert np.array_equal(np.diff(strip.step), [1, 1])
    recorded = {frame.tobytes() for episode in seen for frame in episode.observations}
    assert all(frame.tobytes() in recorded for frame in strip.recorded)
    assert np.abs(strip.dreamed.astype(float) - strip.recorded).mean() < 25.0


def test_the_worst_sign_decides():
    limits = LIMITS["haste"]
    middle = Sign("haste", 0.5 * (limits.amber + limits.red), limits)
    assert middle.doubt == pytest.approx(0.5)
    assert [light(doubt) for doubt in (-0.1, 0.0, 0.99, 1.0)] == ["green", "amber", "amber", "red"]


def test_what_does_not_fit_is_refused(dot_world, agent, store, continuous_world):
    with pytest.raises(ValueError, match="expected dreams of at least 1, got 0"):
        trust(dot_world, agent, store, TrustConfig(dreams=0))
    with pytest.raises(ValueError, match="expected episodes of ContinuousDot-v0, got dot_env:Dot-v0"):
        trust(continuous_world, agent, store)
    with pytest.raises(ValueError, match="expected an agent for 40 features"):
        trust(dot_world, load_agent("sidewalk/linear"), store)


def test_the_command_says_it_in_words_and_pictures(dot_world, dot_folder, dot_agent_folder, tmp_path, capsys):
    command = ["trust", "--world", str(dot_folder), "--agent", str(dot_agent_folder), "--out", str(tmp_path)]
    assert main([*command, "--dreams", "20", "--gamma", "0.95", "--real-episodes", "5"]) == 0
    said = capsys.readouterr().out
    facts = json.loads((tmp_path / "trust.json").read_text())
    assert facts["light"].upper() in said
    assert {sign["name"] for sign in facts["signs"]} == set(LIMITS)
    assert facts["best_temperature"] in (0.1, 0.5, 1.0, 1.15, 1.3)
    assert (tmp_path / "strip.png").stat().st_size > 1000


def test_missing_episodes_are_asked_for(dot_world, tmp_path, capsys):
    stays = LinearAgent(np.zeros((3, 40)), np.array([0.0, 0.0, 1.0]), dot_world.config.action)
    save_linear(stays, tmp_path / "agent", dot_world)
    command = ["trust", "--world", str(dot_world.path), "--agent", str(tmp_path / "agent")]
    assert main([*command, "--episodes", str(tmp_path / "elsewhere")]) == 2
    said = capsys.readouterr().err
    assert f"expected recorded episodes in {tmp_path / 'elsewhere'}" in said and "--env dot_env:Dot-v0" in said


def test_a_verdict_against_the_dream_says_why_and_what_is_left(lying_world, store):
    result = trust(
        lying_world, ConstantPolicy(2), store, dataclasses.replace(FEW, real_episodes=10, temperatures=(1.0,))
    )
    said = trust_table(result)

    verdict = said.splitlines()[-1]
    assert verdict.startswith("RED: ") and all(reason in verdict for reason in result.reasons)
    assert f"{result.dream.mean:.3f}" in verdict and f"{result.believed:.3f}" in verdict
    assert (
        "From the middle of 10 real failures (10 ran out of time) the dream promises success in 100% of cases." in said
    )


@pytest.mark.parametrize(
    ("light", "successes", "warned"), [("red", 14, True), ("red", 15, False), ("red", None, False), ("green", 1, False)]
)
def test_a_verdict_from_few_successes_says_so(lying_world, store, light, successes, warned):
    found = trust(lying_world, ConstantPolicy(2), store, FEW)
    assert found.successes == sum(bool(episode.rewards[-1] > 0.1) for episode in store.split()[0])
    signs = tuple(dataclasses.replace(sign, value=sign.value if light == "red" else 0.0) for sign in found.signs)

    said = trust_table(dataclasses.replace(found, signs=signs, successes=successes)).splitlines()[-1]

    assert said.startswith(light.upper())
    assert (f"Only {successes} recorded episodes ended well" in said) is warned


def test_without_real_episodes_there_is_no_table_of_gaps(lying_world, store):
    said = trust_table(trust(lying_world, ConstantPolicy(2), store, FEW))
    assert "gap" not in said and "real failures" not in said


def test_what_remains_of_a_promise():
    assert believed(0.8, -0.5, 0.0) == 0.8
    assert believed(0.8, 0.25, 0.0) == pytest.approx(0.6)
    assert believed(0.8, 1.1, 0.0) == 0.0  # no recorded episode had less
    assert believed(10.0, 0.5, -50.0) == pytest.approx(-20.0)  # half of the way from the smallest recorded return
    assert believed(10.0, 2.0, -50.0) == -50.0
    assert believed(0.8, float("nan"), 0.1) == 0.1
    assert believed(-100.0, 9.0, -1000.0) == -1000.0


def test_doubt_that_is_no_number_is_no_green_light():
    assert light(float("nan")) == "cannot tell"


@pytest.mark.parametrize("name", LIMITS)
def test_a_sign_that_is_no_number_leaves_no_green_light_and_says_so(dot_world, agent, store, name):
    found = trust(dot_world, agent, store, FEW)
    assert found.light == "green"
    broken = {sign.name: dataclasses.replace(sign, value=float("nan")) for sign in found.signs if sign.name == name}
    result = dataclasses.replace(found, signs=tuple(broken.get(sign.name, sign) for sign in found.signs))

    assert result.light == "cannot tell" and np.isnan(result.doubt)
    said = trust_table(result).splitlines()[-1]
    assert said.startswith("CANNOT TELL") and f"{name} is not a number" in said
    values = {sign["name"]: sign["value"] for sign in json.loads(to_json(trust_facts(result)))["signs"]}
    assert values[name] is None and None not in {value for key, value in values.items() if key != name}
    worse = (*result.signs, Sign("haste", 1.0, LIMITS["haste"]))
    assert dataclasses.replace(result, signs=worse).light == "red"


def recorded(*returns):
    """Records of episodes of two steps that paid these returns at their ends."""
    reward = torch.tensor([part for paid in returns for part in (0.0, paid)])
    rows = len(reward)
    data = Experience(
        features=torch.ones(rows, 2),
        next_features=torch.ones(rows, 2),
        action=torch.zeros(rows, dtype=torch.int64),
        reward=reward,
        last=torch.arange(rows) % 2 == 1,
        elapsed=torch.arange(rows) % 2 / 2,
        starts=torch.arange(0, rows, 2),
    )
    return Records(data, torch.full((len(returns),), 2), torch.zeros(len(returns), dtype=torch.bool), data.features)


def dreamed(paid):
    """One dreamed episode of this return."""
    steps = Trajectory(np.ones((3, 2), np.float32), np.zeros(2, np.int64), np.array([0.0, paid], np.float32))
    return [Outcome(0, 0, paid, paid, 2, True, steps)]


@pytest.mark.parametrize(
    ("returns", "promise", "expected"),
    [
        ((0.0, 0.5, 1.0), 0.5, "green"),
        ((100.0, 600.0, 890.0), 1259.0, "amber"),
        ((100.0, 300.0, 500.0), 1259.0, "red"),
        ((-100.0, -50.0, -10.0), -60.0, "green"),
        ((-100.0, -50.0, -10.0), -5.0, "amber"),
        ((-100.0, -50.0, -10.0), 200.0, "red"),
        ((-50.0, 0.0, 50.0), 40.0, "green"),
        ((-50.0, 0.0, 50.0), 200.0, "red"),
        ((0.0, 0.0, 0.0), 0.0, "green"),
        ((0.0, 0.0, 0.0), 0.5, "red"),
    ],
)
def test_a_dream_that_promises_more_than_any_recorded_episode_is_told(returns, promise, expected):
    value = excess(recorded(*returns), dreamed(promise))
    assert Sign("excess", value, LIMITS["excess"]).light == expected


@pytest.mark.parametrize("shift", [0.0, -100.0, -30.0])
def test_a_promise_is_measured_alike_wherever_returns_lie(dot_world, shift):
    """Returns from 0 to 90, or all lowered by 100, or by 30; with no weight on the records all of it is in doubt."""
    config = dataclasses.replace(dot_world.config, max_episode_steps=2)
    world = dataclasses.replace(dot_world, config=config, identity=None)
    records = recorded(*(shift + paid for paid in (0.0, 30.0, 60.0, 90.0)))
    found = [
        shortfall(world, ConstantPolicy(0), records, dreamed(shift + promise), gamma=1.0, ridge=ridge)
        for promise, ridge in ((45.0, 1e-3), (90.0, 1e-3), (90.0, 1e6))
    ]
    assert found == pytest.approx([0.0, 0.5, 1.0], abs=0.02)


def test_few_records_and_dreams_without_a_promise_say_nothing_for_a_dream(dot_world, agent, store):
    assert evidence(0.5, [0.0, 0.4] * 25) == ()
    assert "only 49 recorded episodes" in evidence(0.5, [0.0] * 49)[0]
    for promise in (-60.6, -50.0, float("nan")):
        (missing,) = evidence(promise, [-80.0, -20.0] * 25)
        assert "no more than the mean of the recorded episodes, -50" in missing

    found = trust(dot_world, agent, store, FEW)
    result = dataclasses.replace(found, missing=("there is nothing",))
    assert (found.light, result.light, result.reasons) == ("green", "cannot tell", ("there is nothing",))
    assert trust_table(result).splitlines()[-1].startswith("CANNOT TELL")
    assert trust_facts(result)["light"] == "cannot tell"


def test_an_agent_that_never_moves_is_not_green(dot_world, store):
    assert trust(dot_world, ConstantPolicy(2), store, FEW).light == "cannot tell"


def test_without_a_known_success_nothing_is_a_failure(dot_world):
    stays, seeds = ConstantPolicy(2), range(2)
    played = list(rollout(make_real_vector("dot_env:Dot-v0", 2), stays, seeds, record=True))
    config = dataclasses.replace(dot_world.config, success_reward=None)
    world = dataclasses.replace(dot_world, config=config, identity=None)
    assert failures(world, stays, played, temperature=1.0, dreams=2) == ()


@pytest.mark.parametrize(
    "wrong", [{"gamma": 3.0}, {"ridge": -5.0}, {"ridge": float("nan")}, {"num_envs": 0}, {"temperature": -1.0}], ids=str
)
def test_settings_out_of_range_are_refused_at_once(wrong):
    with pytest.raises(ValueError, match="expected"):
        TrustConfig(**wrong)
