"""The CEM planner: what it finds where rewards are known, its returns by hand, its random numbers, and its files."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from dot_settings import DOT_MEMORY, DOT_VISION
from rssm_settings import BOX, DISCRETE, SMALL

import dreamenv
from dreamenv import CompareConfig, DreamVectorEnv, load_agent, rollout
from dreamenv.agents.actor_critic.config import ActorCriticConfig
from dreamenv.agents.actor_critic.train import train_actor_critic
from dreamenv.agents.linear import save_linear
from dreamenv.agents.observing import ObservingAgent
from dreamenv.agents.planner import Episodes, Planner, imagined_returns, save_planner
from dreamenv.agents.planner_config import PlannerConfig
from dreamenv.agents.plans import CategoricalPlans, GaussianPlans, shift
from dreamenv.agents.registry import train_agent
from dreamenv.bundle import load, save
from dreamenv.cli.run import main
from dreamenv.config import WorldConfig, build_model
from dreamenv.evaluate.choose import ChooseConfig
from dreamenv.foundation.errors import BundleError, ResumeError, SettingsError
from dreamenv.foundation.manifest import read_files, write_files
from dreamenv.models.bank import StartBank
from dreamenv.models.base import Outlook, WorldModel
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.model import MDNRNNConfig
from dreamenv.models.noise import Noise, NoiseSpec
from dreamenv.world import World

QUICK = PlannerConfig(horizon=3, iterations=2, candidates=12, elites=3)
LIMIT = 20


class Toy(WorldModel):
    """h = (aim, action, action before); reward and probability of going on are functions of h and the step."""

    latent_size, hidden_size, carry_size = 1, 3, 0
    prior_noise = posterior_noise = NoiseSpec(0, 1)
    posterior_kind = Gaussian

    def __init__(self, reward, goes_on=lambda h, step: torch.ones_like(h[:, 0])):
        super().__init__()
        self.reward, self.goes_on, self.steps = reward, goes_on, 0

    def embed(self, frames):
        return torch.zeros(len(frames), 1)

    def advance(self, state, action):
        self.steps += 1
        scalar = action if action.dim() == 1 else action[:, 0]
        h = torch.stack([state.h[:, 0], scalar.float(), state.h[:, 1]], 1)
        return replace(state, h=h, step=state.step + 1)

    def posterior(self, state, embedding):
        return Gaussian(torch.zeros(len(embedding), 1), torch.zeros(len(embedding), 1))

    def prior(self, state):
        return Gaussian(state.h[:, :1], torch.zeros(len(state.h), 1))

    def outlook(self, state, elapsed):
        on = self.goes_on(state.h, state.step)
        reward = self.reward(state)
        return Outlook(torch.stack([on, 1.0 - on], 1), torch.stack([reward, torch.full_like(reward, 10.0)], 1))

    def decode(self, state, frame_shape):
        raise NotImplementedError


def toy(reward, action=DISCRETE, limit=LIMIT, **kwargs):
    model = Toy(reward, **kwargs)
    config = WorldConfig("Toy-v0", (4, 4, 3), action, limit, None, ("same",), ("sample",))
    first = model.posterior(None, torch.zeros(1, 1))
    return World(config, model, StartBank(first, model.initial(0)))


def observations(*aims, steps=None):
    """[z, h, step] in front of several aims; at the beginning without steps."""
    steps = [0] * len(aims) if steps is None else steps
    return np.float32([[0.0, aim, 0.0, 0.0, step] for aim, step in zip(aims, steps, strict=True)])


def random_world(sizes, action=DISCRETE, env_id="Nowhere-v0"):
    """A world of random weights, as it is loaded again."""
    config = WorldConfig(env_id, (16, 32, 3), action, LIMIT, sizes, ("same",), ("sample",))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = build_model(config).eval()
        for parameter in model.parameters():
            parameter.mul_(2.0)
        frames = torch.randint(256, (9, 16, 32, 3), dtype=torch.uint8)
        first = model.posterior(model.initial(9), model.embed(frames))
        part = model.memory if isinstance(sizes, MDNRNNConfig) else model
        part.reward.fit_range(torch.tensor([-1.0, 0.0, 1.0]).repeat(2), torch.arange(2).repeat_interleave(3))
        part.endings.shift[0] = -2.0
    return World(config, model, StartBank(first, model.initial(0)))


WORLDS = {
    "MDN-RNN": (MDNRNNConfig(DOT_VISION, DOT_MEMORY), DISCRETE),
    "MDN-RNN, Box": (MDNRNNConfig(DOT_VISION, DOT_MEMORY), BOX),
    "RSSM": (SMALL, DISCRETE),
    "categorical RSSM, Box": (replace(SMALL, latent="categorical"), BOX),
}


@pytest.fixture(params=WORLDS)
def world(request, tmp_path):
    save(random_world(*WORLDS[request.param]), tmp_path / "world")
    return load(tmp_path / "world")


def starts(planner, batch):
    """Observations in which dreams begin."""
    noise = Noise.draw(batch, planner.world.model.prior_noise, torch.Generator().manual_seed(1))
    return planner.world.features(planner.world.sample_start(noise)).detach().numpy()


def no_noise(rows):
    return lambda: Noise(torch.zeros(rows, 3), torch.zeros(rows, 1))


def test_the_defaults_are_those_of_planet():
    config = PlannerConfig()
    assert (config.horizon, config.iterations, config.candidates, config.elites) == (12, 10, 1000, 100)
    assert not config.warm_start and config.temperature == config.discount == 1.0 and config.exploration == 0.3


def test_it_finds_the_best_box_action():
    world = toy(lambda state: -(state.h[:, 1] - state.h[:, 0]).square(), BOX)
    planner = Planner(world, PlannerConfig(horizon=4, candidates=200, elites=20))
    actions, _ = planner.predict(observations(0.3, -0.7), deterministic=True)
    assert actions.shape == (2, 2) and actions.dtype == np.float32
    assert actions[:, 0] == pytest.approx([0.3, -0.7], abs=0.05)
    assert all(BOX.space.contains(action) for action in actions)


def test_it_gives_up_a_reward_now_for_a_larger_one_later():
    """Action 1 pays 0.1 at once; action 2 pays 1 one step later."""
    world = toy(lambda state: 0.1 * (state.h[:, 1] == 1) + 1.0 * (state.h[:, 2] == 2))
    short, long = (Planner(world, PlannerConfig(horizon=h, candidates=100, elites=10)) for h in (1, 3))
    assert short.predict(observations(0.0), deterministic=True)[0].tolist() == [1]
    assert long.predict(observations(0.0), deterministic=True)[0].tolist() == [2]


def test_a_value_stands_for_what_comes_after_the_horizon():
    world = toy(lambda state: 0.1 * (state.h[:, 1] == 1))
    config = PlannerConfig(horizon=1, candidates=50, elites=5)
    valued = Planner(world, config, value=lambda state: 1.0 * (state.h[:, 1] == 2))
    assert Planner(world, config).predict(observations(0.0), deterministic=True)[0].tolist() == [1]
    assert valued.predict(observations(0.0), deterministic=True)[0].tolist() == [2]


def test_returns_are_those_of_a_chain_by_hand():
    """Steps pay 1, 2 and 3 if they go on, 10 if they end; they go on with 0.9, 0.5 and 0.8."""
    goes_on = torch.tensor([0.0, 0.9, 0.5, 0.8])
    world = toy(lambda state: state.step.float(), goes_on=lambda h, step: goes_on[step])
    state, actions = world.model.initial(1), torch.zeros(1, 3, dtype=torch.int64)
    paid = [0.9 * 1 + 0.1 * 10, 0.5 * 2 + 0.5 * 10, 0.8 * 3 + 0.2 * 10]
    survival = [1.0, 0.9, 0.45, 0.36]

    found = imagined_returns(world, state, actions, no_noise(1))
    assert found.item() == pytest.approx(sum(s * r for s, r in zip(survival, paid, strict=False)))
    found = imagined_returns(world, state, actions, no_noise(1), discount=0.7, value=lambda state: 2.0 * state.step)
    expected = sum(0.7**t * survival[t] * paid[t] for t in range(3)) + 0.7**3 * survival[3] * 2.0 * 3
    assert found.item() == pytest.approx(expected)


def test_steps_after_the_time_limit_pay_nothing():
    world = toy(lambda state: torch.ones(len(state.h)), limit=5)
    state = replace(world.model.initial(6), step=torch.arange(6))
    actions = torch.zeros(6, 3, dtype=torch.int64)
    assert imagined_returns(world, state, actions, no_noise(6)).tolist() == [3, 3, 3, 2, 1, 0]
    valued = imagined_returns(world, state, actions, no_noise(6), value=lambda state: torch.full((6,), 100.0))
    assert valued.tolist() == [103, 103, 3, 2, 1, 0]


def test_dreams_that_branch_off_keep_their_step():
    """Action 1 pays in step 3 alone, action 0 in all others: it matters only in which step the episode is."""
    world = toy(lambda state: torch.where(state.step == 3, 1.0 * (state.h[:, 1] == 1), 1.0 * (state.h[:, 1] == 0)))
    planner = Planner(world, PlannerConfig(horizon=1, candidates=30, elites=5))
    for begin, expected in ((0, [0, 0, 1, 0]), (1, [0, 1, 0, 0]), (2, [1, 0, 0, 0])):
        start = replace(world.model.initial(1), step=torch.tensor([begin]))
        env = DreamVectorEnv(planner.world, start=start, autoreset_mode="Disabled", max_episode_steps=4)
        (outcome,) = rollout(env, planner, [0], deterministic=True, record=True)
        assert outcome.trajectory.actions.tolist() == expected


def test_episodes_are_numbered_in_the_order_in_which_they_begin():
    planner, seen, state, found = Planner(toy(lambda state: state.h[:, 1]), QUICK), observations(0.0, 0.0), None, []
    for start in ([1, 1], [0, 0], [0, 1], [1, 0]):
        _, state = planner.predict(seen, state, np.array(start, bool), True)
        found.append((state.index.tolist(), state.begun))
    assert found == [([0, 1], 2), ([0, 1], 2), ([0, 2], 3), ([3, 2], 4)]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_temperature_is_that_of_the_prior(temperature):
    """Only drawn z differ from the aim: at temperature 0 all plans are equal, at 1 the elites had luck."""
    world = toy(lambda state: state.z[:, 0])
    state, draw = world.model.initial(500), np.random.default_rng(0)
    actions = torch.zeros(500, 1, dtype=torch.int64)
    noise = Noise(torch.zeros(500, 3), torch.from_numpy(draw.standard_normal((500, 1), np.float32)))
    found = imagined_returns(world, state, actions, lambda: noise, temperature=temperature)
    assert found.std().item() == pytest.approx(temperature, abs=0.1)


@pytest.mark.parametrize(("seconds", "iterations"), [(None, 4), (1e-9, 1), (1e9, 4)])
def test_the_search_stops_when_the_time_is_used_up(seconds, iterations):
    world = toy(lambda state: state.h[:, 1])
    config = PlannerConfig(horizon=5, iterations=4, candidates=10, elites=2, seconds=seconds)
    Planner(world, config).predict(observations(0.0), deterministic=True)
    assert world.model.steps == 5 * iterations


def test_plans_of_two_states_are_two_plans(world):
    planner = Planner(world, QUICK)
    seen = starts(planner, 2)
    assert planner.inputs == (("z", "h", "c", "step") if world.model.carry_size else ("z", "h", "step"))
    seen[:, -1] = [1, 5]
    state = Episodes(np.array([5, 6]), 7, None)
    whole, after = planner.predict(seen, state, None, True)
    for row in range(2):
        alone = Episodes(state.index[row : row + 1], 7, None)
        single, _ = planner.predict(seen[row : row + 1], alone, None, True)
        np.testing.assert_allclose(whole[row], single[0], atol=1e-4)
    assert after.index.tolist() == [5, 6] and after.begun == 7


def test_candidates_are_scored_from_their_own_state():
    """Batches that are planned in one block, in blocks, and in parts of a block: each state has its own aim."""
    world = toy(lambda state: -(state.h[:, 1] - state.h[:, 0]).square(), BOX)
    aims = np.linspace(-0.8, 0.8, 7)
    for candidates in (100, 300, 1200):
        planner = Planner(world, PlannerConfig(horizon=2, iterations=5, candidates=candidates, elites=15))
        actions, _ = planner.predict(observations(*aims), deterministic=True)
        assert actions[:, 0] == pytest.approx(aims, abs=0.1)


@pytest.mark.parametrize("deterministic", [True, False])
def test_an_episode_does_not_depend_on_the_batch(world, deterministic):
    found = []
    for num_envs in (1, 3):
        planner = Planner(world, replace(QUICK, warm_start=True))
        env = DreamVectorEnv(planner.world, num_envs, autoreset_mode="Disabled", max_episode_steps=4)
        outcomes = rollout(env, planner, list(range(4)), deterministic=deterministic, record=True)
        found.append({outcome.index: outcome for outcome in outcomes})
    for index in range(4):
        one, other = found[0][index], found[1][index]
        assert one.length == other.length
        np.testing.assert_allclose(one.trajectory.actions, other.trajectory.actions, atol=1e-3)


def test_a_seed_gives_the_same_episode_again(world):
    def acted(seed, agent=None):
        planner = agent or Planner(world, replace(QUICK, seed=seed))
        env = DreamVectorEnv(planner.world, 2, autoreset_mode="Disabled", max_episode_steps=8)
        outcomes = sorted(rollout(env, planner, [0, 1], record=True), key=lambda outcome: outcome.index)
        return np.concatenate([outcome.trajectory.actions for outcome in outcomes])

    first, again, other = acted(1), acted(1), acted(2)
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()
    planner = Planner(world, QUICK)
    planner.set_random_seed(1)
    np.testing.assert_array_equal(acted(0, planner), first)


def test_a_warm_start_begins_with_the_shifted_plan():
    world = toy(lambda state: -(state.h[:, 1] - 0.5 * state.step).square(), BOX)  # plans that differ step by step
    cold, warm = (
        Planner(world, PlannerConfig(horizon=3, iterations=1, candidates=100, elites=5, warm_start=on))
        for on in (False, True)
    )
    seen = observations(0.0)
    (first, after), (same, none) = (planner.predict(seen, None, np.ones(1, bool), True) for planner in (warm, cold))
    assert first.tolist() == same.tolist() and none.plan is None and after.plan.shape == (1, 3, 2)
    following, restarted = (warm.predict(seen, before, None, True)[0] for before in (after, replace(after, plan=None)))
    assert following.tolist() != restarted.tolist() == cold.predict(seen, none, None, True)[0].tolist()
    anew = warm.predict(seen, after, np.ones(1, bool), True)[0]
    assert anew.tolist() == cold.predict(seen, none, np.ones(1, bool), True)[0].tolist()


def test_the_plan_of_the_previous_step_loses_its_first_action():
    """With all candidates as elites, actions are around the centre that the search begins with."""
    config = PlannerConfig(horizon=2, iterations=1, candidates=400, elites=400, warm_start=True)
    planner = Planner(toy(lambda state: state.h[:, 1], BOX), config)
    plan = torch.tensor([[[-0.9, -0.9], [0.9, 0.9]]])
    before = Episodes(np.zeros(1, np.int64), 1, plan)
    _, after = planner.predict(observations(0.0), before, None, True)
    assert (after.plan[0, 0] > 0.4).all()  # clipping draws the mean from 0.9 towards 0
    assert (after.plan[0, 1].abs() < 0.2).all()


def test_centres_are_shifted_and_widened():
    centre = torch.tensor([[[0.1], [0.2], [0.3]]])
    assert shift(centre, torch.zeros(1, 1, 1)).flatten().tolist() == pytest.approx([0.2, 0.3, 0.0])
    assert (GaussianPlans.around(BOX, 0.1, centre).std == 1.0).all()
    sure = torch.tensor([[[1.0, 0.0, 0.0]]])
    wide = CategoricalPlans.around(DISCRETE, 0.1, sure).centre.flatten().tolist()
    assert wide == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_a_refit_is_that_of_planet():
    plans = GaussianPlans.around(BOX, 0.1, torch.zeros(1, 1, 2))
    drawn = plans.draw([np.random.default_rng(0)], 2000)
    assert drawn.shape == (1, 2000, 1, 2) and drawn.abs().max() == 1.0
    fitted = plans.refit(torch.tensor([[[[0.0, 1.0]], [[1.0, 1.0]]]]))
    assert fitted.centre.flatten().tolist() == [0.5, 1.0]
    assert fitted.std.flatten().tolist() == pytest.approx([math.sqrt(0.25 + 1e-6), 1e-3])


def test_no_action_loses_all_probability_at_once():
    plans = CategoricalPlans.around(DISCRETE, 0.1, CategoricalPlans.middle(DISCRETE, 1, 1))
    fitted = plans.refit(torch.tensor([[[0], [0], [2], [0]]]))
    assert fitted.centre.flatten().tolist() == pytest.approx([0.9 * 0.75 + 0.1 / 3, 0.1 / 3, 0.9 * 0.25 + 0.1 / 3])
    drawn = fitted.draw([np.random.default_rng(0)], 20_000)
    shares = torch.bincount(drawn.flatten(), minlength=3) / 20_000
    assert shares.tolist() == pytest.approx(fitted.centre.flatten().tolist(), abs=0.01)


def test_exploration_adds_noise_to_box_actions_and_draws_discrete_ones():
    centre = torch.full((4000, 1, 2), 0.5)
    generators = [np.random.default_rng(seed) for seed in range(4000)]
    plans = GaussianPlans.around(BOX, 0.1, centre)
    assert plans.first(None, 0.3).tolist() == [[0.5, 1.5]] * 4000  # the box is [-1, 1] x [0, 2]
    explored = plans.first(generators, 0.3)
    assert explored.min() >= -1.0 and explored.max() <= 2.0
    assert explored[:, 0].mean() == pytest.approx(0.5, abs=0.05) and (explored[:, 0] == 1.0).any()
    assert plans.first(generators, 0.0).tolist() == plans.first(None, 0.3).tolist()
    choices = CategoricalPlans(DISCRETE, 0.1, torch.tensor([[[0.2, 0.5, 0.3]]]).repeat(4000, 1, 1))
    assert set(choices.first(None, 0.3).tolist()) == {1}
    shares = np.bincount(choices.first(generators, 0.3), minlength=3) / 4000
    assert shares == pytest.approx([0.2, 0.5, 0.3], abs=0.03)


@pytest.mark.parametrize(
    ("action", "exploration", "stochastic"), [(BOX, 0.0, False), (BOX, 0.3, True), (DISCRETE, 0.0, True)]
)
def test_it_says_whether_it_explores(action, exploration, stochastic):
    assert Planner(toy(None, action), replace(QUICK, exploration=exploration)).stochastic is stochastic


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 0}, "horizon"),
        ({"iterations": 0}, "iterations"),
        ({"candidates": 10, "elites": 11}, "expected elites of at most 10 candidates, got 11"),
        ({"elites": 0}, "elites"),
        ({"temperature": -1.0}, "expected a temperature"),
        ({"discount": 1.1}, "discount"),
        ({"smoothing": 1.0}, "smoothing"),
        ({"exploration": -0.1}, "exploration"),
        ({"seconds": 0.0}, "seconds"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        PlannerConfig(**settings)


def test_observations_and_states_of_another_size_are_refused():
    planner = Planner(toy(lambda state: state.h[:, 1]), QUICK)
    with pytest.raises(SettingsError, match=r"expected observations \(B, 5\) of z, h, step, got \(1, 4\)"):
        planner.predict(np.zeros((1, 4), np.float32))
    _, state = planner.predict(observations(0.0, 1.0))
    with pytest.raises(SettingsError, match="expected the state of a batch of 1, got that of 2"):
        planner.predict(observations(0.0), state)


def test_a_stored_planner_plans_as_before(world, tmp_path):
    saved = save_planner(tmp_path / "agent", world, replace(QUICK, temperature=0.5))
    loaded = load_agent(tmp_path / "agent")
    assert isinstance(loaded, Planner)
    assert loaded.config == saved.config and loaded.inputs == saved.inputs
    assert loaded.world.config == world.config and not loaded.world.model.training
    assert loaded.world.bank.size == 1 and not len(loaded.world.bank.branches.step)
    for deterministic in (True, False):
        seen = starts(saved, 3)
        one, other = (planner.predict(seen, deterministic=deterministic)[0] for planner in (saved, loaded))
        np.testing.assert_array_equal(one, other)
    assert sorted(path.name for path in (tmp_path / "agent").iterdir()) == [
        "agent.safetensors", "config.json", "manifest.json"
    ]  # fmt: skip


def test_files_of_other_agents_have_no_new_key(continuous_world, tmp_path):
    agent = dreamenv.LinearAgent(np.zeros((1, 40)), np.zeros(1), continuous_world.config.action)
    save_linear(agent, tmp_path, continuous_world)
    assert "details" not in json.loads((tmp_path / "config.json").read_text())


def test_an_agent_of_another_kind_is_not_replaced(continuous_world, tmp_path):
    agent = dreamenv.LinearAgent(np.zeros((1, 40)), np.zeros(1), continuous_world.config.action)
    save_linear(agent, tmp_path, continuous_world)
    with pytest.raises(ResumeError, match="or with one of kind planner, got linear"):
        save_planner(tmp_path, continuous_world, QUICK)


def test_it_is_made_as_other_agents_are_trained(continuous_world, tmp_path):
    made = train_agent(continuous_world, tmp_path, QUICK)
    assert isinstance(made, Planner) and load_agent(tmp_path).config == made.config == QUICK


def change_config(folder, change):
    contents = read_files(folder, ())
    config = json.loads(contents["config.json"])
    change(config)
    write_files(folder, contents | {"config.json": json.dumps(config).encode()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config.pop("details"), "not a planner: 'planner'"),
        (lambda config: config["details"].pop("world"), "not a planner: 'world'"),
        (lambda config: config["details"]["planner"].update(horizon=0), "expected horizon of at least 1, got 0"),
        (lambda config: config["details"]["planner"].update(speed=1), "speed"),
        (lambda config: config["details"].update(planner=[]), "config.json cannot be read"),
        (lambda config: config["details"]["world"]["model"].update(kind="other"), "expected a kind of world model"),
        (lambda config: config["details"]["world"]["model"]["memory"].update(hidden_size=16), "not a planner"),
        (lambda config: config["details"]["world"].update(env_id="Other-v0"), "expected env_id Other-v0, got Contin"),
        (lambda config: config.update(feature_size=7), "expected feature_size 73, got 7"),
        (lambda config: config.update(inputs=["z", "h"]), "expected inputs"),
    ],
)
def test_damaged_files_are_refused(continuous_world, tmp_path, change, message):
    save_planner(tmp_path, continuous_world, QUICK)
    change_config(tmp_path, change)
    with pytest.raises(BundleError, match=message):
        load_agent(tmp_path)


@pytest.mark.parametrize("name", ["memory.mixture.bias", "bank.mean", "new"])
def test_other_tensors_are_refused(continuous_world, tmp_path, name):
    save_planner(tmp_path, continuous_world, QUICK)
    contents = read_files(tmp_path, ())
    tensors = safetensors.torch.load(contents["agent.safetensors"]) | {name: torch.zeros(7)}
    write_files(tmp_path, contents | {"agent.safetensors": safetensors.torch.save(tensors)})
    with pytest.raises(BundleError, match="not a planner"):
        load_agent(tmp_path)


def test_it_is_chosen_compared_and_collects(continuous_world):
    planner = Planner(continuous_world, QUICK)
    assert dreamenv.choose(continuous_world, {"planner": planner}, ChooseConfig(2, num_envs=1))["planner"].lengths
    comparison = dreamenv.compare(continuous_world, planner, CompareConfig((1.0,), 2, 80_000, num_envs=1))
    assert {(score.policy, score.place) for score in comparison.scores} >= {
        ("agent, greedy", "dream"), ("agent, sampling", "real")
    }  # fmt: skip
    agent = ObservingAgent(continuous_world, planner, [0.1], [3, 4])
    frames, state = np.zeros((2, 16, 32, 3), np.uint8), None
    for start in (True, False):
        actions, state = agent.predict(frames, state, np.full(2, start))
        assert actions.shape == (2, 1)
    assert state[1].index.tolist() == [0, 1]


def test_a_critic_is_a_value(continuous_world, tmp_path):
    """The critic of an actor-critic sees the states at the end of plans, of any number of rows."""
    config = ActorCriticConfig(updates=1, num_envs=4, horizon=2, net_arch=(8,))
    critic = train_actor_critic(continuous_world, tmp_path, config)
    seen = starts(Planner(continuous_world, QUICK), 3)
    plain, valued = (
        Planner(continuous_world, replace(QUICK, discount=0.99), value).predict(seen, deterministic=True)[0]
        for value in (None, lambda state: 1e4 * critic.value(state))  # after one update it is near 0
    )
    assert plain.shape == valued.shape == (3, 1) and (plain != valued).any()


def test_the_command_makes_a_planner_and_says_how_long_it_takes(continuous_world, tmp_path, capsys):
    save(continuous_world, tmp_path)
    settings = "--horizon 2 --iterations 1 --candidates 6 --elites 2 --dreams 2".split()
    assert main(["plan", "--world", str(tmp_path), *settings]) == 0
    folder, out = tmp_path / "agents" / "planner", capsys.readouterr().out
    assert f"planner in {folder}: 0.0" in out and "s per decision, at most" in out
    assert "in 2 greedy dreams: success" in out
    assert f"next: dreamenv compare --world {tmp_path} --agent {folder}" in out
    assert load_agent(folder).config == PlannerConfig(horizon=2, iterations=1, candidates=6, elites=2)
    assert main(["plan", "--world", str(tmp_path), *settings[:-1], "0"]) == 0
    assert "greedy dreams" not in capsys.readouterr().out
    assert main(["plan", "--world", str(tmp_path), *settings[:-1], "-1"]) == 2
    assert main(["plan", "--world", str(tmp_path), "--elites", "2000"]) == 2
    assert main(["vote", "--members", str(folder), "--agent", str(tmp_path / "vote")]) == 2
