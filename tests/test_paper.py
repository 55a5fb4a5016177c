"""World Models' exact models and controller: their published parameter counts, and that they work as any others do."""

import dataclasses

import numpy as np
import pytest
import torch

import dreamenv
from dreamenv.agents.evolve import Population, initial_parameters
from dreamenv.agents.linear import LinearAgent, act
from dreamenv.config import WorldConfig, build_model
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.heads import EndingHead
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.paper import PaperMemory, PaperVAE
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.training.balance import kind_weights
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining
from dreamenv.world import showing
from dreamenv.worlds.takecover.presets import PAPER_EVOLVE, PAPER_TRAIN

THREE = ActionSpec(n=3)
CAR = ActionSpec(low=(-1.0, 0.0, 0.0), high=(1.0, 1.0, 1.0))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def paper_vae(latent_size):
    return PaperVAE(VisionConfig((64, 64, 3), latent_size, kind="paper"))


def paper_memory(action=THREE, endings=2, hidden_size=8, latent_size=4):
    torch.manual_seed(0)
    config = MemoryConfig(hidden_size=hidden_size, components=5, kind="paper")
    return PaperMemory(config, latent_size, action, endings).eval()


class TestCounts:
    def test_v_of_take_cover(self):
        assert count(paper_vae(64)) == 4_446_915

    def test_v_of_the_car_race(self):
        assert count(paper_vae(32)) == 4_348_547

    def test_m_of_take_cover(self):
        memory = paper_memory(hidden_size=512, latent_size=64)
        assert count(memory) - count(memory.reward) == 1_678_785

    def test_m_of_the_car_race(self):
        memory = paper_memory(CAR, endings=1, hidden_size=256, latent_size=32)
        assert count(memory) - count(memory.reward) - count(memory.endings) == 422_368

    def test_c_of_take_cover(self):
        agent = LinearAgent(np.zeros((1, 64 + 512 + 512)), np.zeros(0), THREE, inputs=("z", "c", "h"))
        assert agent.num_parameters == 1_088 and not agent.stochastic


class TestPreset:
    def test_a_world_of_take_cover_has_the_papers_sizes(self):
        config = WorldConfig(
            "TakeCover-v0",
            (64, 64, 3),
            THREE,
            2100,
            PAPER_TRAIN.sizes,
            ("same",),
            ("threshold",),
        )
        model = build_model(config)

        assert count(model.vision) == 4_446_915
        assert count(model.memory) - count(model.memory.reward) == 1_678_785

    def test_its_controller_has_the_papers_size(self):
        assert PAPER_EVOLVE.inputs == ("z", "c", "h") and PAPER_EVOLVE.one_output and PAPER_EVOLVE.hidden == 0
        assert PAPER_EVOLVE.population == 64 and PAPER_EVOLVE.episodes == 16

    def test_a_death_weighs_ten(self):
        weights = kind_weights(torch.tensor([300.0 - 1.0, 1.0]), PAPER_TRAIN.memory.step_balance)
        assert weights[1] / weights[0] == pytest.approx(10.0, rel=0.05)


class TestVision:
    def test_it_maps_frames_to_z_and_back(self):
        vision = paper_vae(5)
        mean, log_variance = vision.encode_pixels(torch.rand(2, 3, 64, 64))

        assert mean.shape == log_variance.shape == (2, 5)
        drawn = vision.decode_pixels(mean)
        assert drawn.shape == (2, 3, 64, 64)
        assert 0.0 <= drawn.min() and drawn.max() <= 1.0

    def test_its_first_layer_is_a_deconvolution_of_one_pixel(self):
        vision, z = paper_vae(5), torch.randn(3, 5)
        plain = torch.nn.ConvTranspose2d(1024, 128, 5, stride=2)
        plain.weight.data = vision.first.weight.data.view(128, 5, 5, 1024).permute(3, 0, 1, 2).contiguous()
        vision.first_bias.data.normal_()
        plain.bias.data = vision.first_bias.data

        expected = vision.decoder(plain(vision.expand(z)[:, :, None, None]))

        torch.testing.assert_close(vision.decode_pixels(z), expected, atol=1e-5, rtol=0.0)

    @pytest.mark.parametrize("config", [VisionConfig((60, 80, 3)), VisionConfig((64, 64, 3), channels=(8, 16, 32, 64))])
    def test_other_sizes_are_refused(self, config):
        with pytest.raises(ValueError, match=r"expected frames \(64, 64, 3\)"):
            PaperVAE(config)


class TestMemory:
    @pytest.mark.parametrize(("action", "endings"), [(THREE, 2), (THREE, 3), (CAR, 1), (CAR, 2)])
    def test_stepping_equals_unrolling(self, action, endings):
        memory = paper_memory(action, endings)
        z = torch.randn(2, 6, 4)
        actions = torch.randint(3, (2, 6)) if action.discrete else torch.rand(2, 6, 3)

        sequence, last_c = memory.unroll(z, actions)

        h = c = torch.zeros(2, 8)
        for t in range(6):
            h, c = memory.advance(z[:, t], actions[:, t], h, c)
            torch.testing.assert_close(h, sequence[:, t], atol=1e-5, rtol=0.0)
        torch.testing.assert_close(c, last_c, atol=1e-5, rtol=0.0)

    def test_it_is_told_of_a_restart_only_then(self):
        memory, z, action = paper_memory(), torch.randn(2, 4), torch.tensor([0, 2])
        nothing, something = torch.zeros(2, 8), torch.tensor([[0.0] * 8, [0.1] * 8])
        flag = memory.lstm.weight_ih_l0.data[:, 5]  # z, then the action, then the flag

        before = memory.advance(z, action, something, something)[0]
        flag.add_(1.0)
        after = memory.advance(z, action, something, something)[0]

        assert (before != after).any(1).tolist() == [True, False]
        assert (memory.advance(z, action, nothing, nothing)[0] != before).any()

    def test_one_kind_of_ending_is_a_logistic_regression(self):
        head, h = EndingHead(8, 2, continue_logit=False), torch.randn(5, 8)

        torch.testing.assert_close(head.probabilities(h)[:, 1], torch.sigmoid(head.linear(h)[:, 0]))

    def test_it_is_trained_saved_and_dreamed_of_as_any_other(self, dot_folder, tmp_path):
        store = dot_folder / "episodes"
        config = dreamenv.TrainConfig(
            vision=VisionTraining(
                model=VisionConfig((64, 64, 3), 4, kind="paper"), fit=FitConfig(steps=3), batch_size=8
            ),
            memory=MemoryTraining(
                model=MemoryConfig(hidden_size=8, components=2, kind="paper"),
                fit=FitConfig(steps=3),
                batch_size=4,
            ),
            ending_rule="threshold",
        )
        world = dreamenv.train(tmp_path, config, episodes=store)

        assert isinstance(world.model.vision, PaperVAE) and isinstance(world.model.memory, PaperMemory)
        assert set(world.config.ending_rules) == {"threshold"}
        env = dreamenv.DreamVectorEnv(world, 3, autoreset_mode="SameStep")
        observation, _ = env.reset(seed=0)
        assert observation.shape == (3, 12) and np.isfinite(env.step(env.action_space.sample())[0]).all()


class TestController:
    def test_its_output_is_cut_into_equal_parts(self):
        outputs = torch.tensor([[-9.0], [-0.35], [-0.34], [0.0], [0.34], [0.35], [9.0]])  # tanh(0.3466) = 1/3

        assert act(outputs, THREE, None).tolist() == [0, 0, 1, 1, 1, 2, 2]

    def test_a_population_acts_as_its_members_would(self):
        parameters = np.random.default_rng(2).normal(size=(4, 5))
        observation = np.random.default_rng(3).normal(size=(12, 5)).astype(np.float32)
        population = Population(parameters, THREE, 3, 0, torch.device("cpu"), one_output=True)

        actions, _ = population.predict(torch.from_numpy(observation), None, np.ones(12, bool))

        for row in range(12):
            member = LinearAgent.from_parameters(parameters[row // 3], THREE, one_output=True)
            assert actions[row] == member.predict(observation[row])[0]
        assert len(set(actions.tolist())) == 3

    def test_evolved_ones_survive_their_files(self, dot_world, tmp_path):
        config = dreamenv.EvolveConfig(
            one_output=True, inputs=("z", "c", "h"), generations=1, population=4, episodes=2, num_envs=8
        )
        agent = dreamenv.evolve(dot_world, tmp_path, config)
        again = dreamenv.load_agent(tmp_path)

        features = showing(dot_world, ("z", "c", "h")).feature_size
        assert again.num_parameters == features == len(initial_parameters(showing(dot_world, ("z", "c", "h")), 0, True))
        assert np.array_equal(again.weight, agent.weight) and again.inputs == ("z", "c", "h")

    def test_a_hidden_layer_before_it_is_refused(self):
        with pytest.raises(ValueError, match="expected hidden 0 beside one_output, got 4"):
            dreamenv.EvolveConfig(one_output=True, hidden=4)


class TestTraining:
    def test_uncalibrated_endings_keep_their_weight(self, dot_folder, tmp_path):
        config = dreamenv.TrainConfig(
            vision=VisionTraining(fit=FitConfig(steps=1), batch_size=2),
            memory=MemoryTraining(fit=FitConfig(steps=1), batch_size=2),
        )
        shifts = []
        for calibrated in (True, False):
            memory = dataclasses.replace(config.memory, calibrated=calibrated)
            world = dreamenv.train(
                tmp_path / str(calibrated), dataclasses.replace(config, memory=memory), episodes=dot_folder / "episodes"
            )
            shifts.append(world.model.memory.endings.shift)

        assert shifts[0].abs().max() > 0.1
        assert torch.equal(shifts[1], torch.zeros_like(shifts[1]))
