"""A world model of your own: a table of the transitions of a grid, trained by counting, dreamed in, and compared.

The package is not changed for it: the kind is registered, and collecting, training, agents, comparison and the verdict
on the dream work as they do for V and M. ``docs/models.md`` explains the interface.
``python examples/own_world_model.py FOLDER`` takes half a minute.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

import dreamenv
from dreamenv.models.base import Outlook, State, WorldModel
from dreamenv.models.latent import Latent
from dreamenv.models.noise import NoiseSpec
from dreamenv.recordings import record
from dreamenv.training.kinds import Trained, TrainingJob, WorldTraining, register_world_model

SIDE, PIXELS = 4, 6  # cells and pixels


class Grid(gym.Env):
    """A walk on 4 x 4 cells from the upper left to the lower right one, which pays 1. Every fifth move slips."""

    observation_space = gym.spaces.Box(0, 255, (SIDE * PIXELS, SIDE * PIXELS, 3), np.uint8)
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._cell = np.zeros(2, int)
        return self._frame(), {}

    def step(self, action):
        if self.np_random.random() < 0.2:
            action = self.np_random.integers(4)
        move = ((-1, 0), (1, 0), (0, -1), (0, 1))[int(action)]
        self._cell = np.clip(self._cell + move, 0, SIDE - 1)
        done = bool((self._cell == SIDE - 1).all())
        return self._frame(), float(done), done, False, {}

    def _frame(self):
        frame = np.zeros((SIDE, SIDE, 3), np.uint8)
        frame[-1, -1] = (0, 160, 0)
        frame[tuple(self._cell)] = (220, 40, 40)
        return frame.repeat(PIXELS, 0).repeat(PIXELS, 1)


gym.register("Grid-v0", Grid, max_episode_steps=40)


@dataclass(frozen=True)
class OneHot(Latent):
    """A categorical distribution over one-hot z, with logits (..., Z)."""

    logits: Tensor

    def sample(self, temperature, uniform, normal):
        """Softmax of the logits over the temperature, drawn by its inverse CDF; 0 is the likeliest class."""
        tau = torch.ones(len(self.logits)) if temperature is None else temperature
        weights = torch.softmax(self.logits / tau[:, None].clamp(min=1e-6), dim=-1).cumsum(-1)
        index = (weights <= uniform[:, :1] * weights[:, -1:]).sum(-1).clamp(max=self.logits.shape[-1] - 1)
        return nn.functional.one_hot(index, self.logits.shape[-1]).float()

    def mode(self):
        """The likeliest class."""
        return nn.functional.one_hot(self.logits.argmax(-1), self.logits.shape[-1]).float()

    def log_probability(self, z):
        """In nats."""
        return (torch.log_softmax(self.logits, -1) * z).sum(-1)


@dataclass(frozen=True)
class TableConfig:
    """Sizes of a table: the largest number of different frames, and their shape."""

    cells: int = SIDE * SIDE
    frame_shape: tuple[int, int, int] = Grid.observation_space.shape


class Table(WorldModel):
    """z is the one-hot index of a known frame; h holds the probability of each known frame to come next."""

    posterior_kind = OneHot

    def __init__(self, config: TableConfig, actions: int, kinds: int) -> None:
        super().__init__()
        self.latent_size = self.hidden_size = cells = config.cells
        self.carry_size = 0
        self.prior_noise = self.posterior_noise = NoiseSpec(uniform=1, normal=0)
        self.frames = nn.Parameter(torch.full((cells, int(np.prod(config.frame_shape))), -1.0), requires_grad=False)
        self.transitions = nn.Parameter(torch.full((cells, actions, cells), 1.0 / cells), requires_grad=False)
        self.endings = nn.Parameter(torch.zeros(cells, kinds), requires_grad=False)
        self.rewards = nn.Parameter(torch.zeros(cells, kinds), requires_grad=False)

    def embed(self, frames):
        """Distances to every known frame, (B, cells)."""
        return torch.cdist(frames.flatten(1).float() / 255.0, self.frames)

    def posterior(self, state, embedding):
        """Nearly all probability is on the nearest known frame."""
        return OneHot(-100.0 * embedding)

    def advance(self, state, action):
        """h is the row of the table for z and the action."""
        h = torch.einsum("bc,bcn->bn", state.z, self.transitions[:, action].movedim(1, 0))
        return State(state.z, h, state.carry, state.step + 1)

    def prior(self, state):
        """The probabilities in h."""
        return OneHot(state.h.clamp(min=1e-6).log())

    def outlook(self, state, elapsed):
        """Ending and reward depend on the cell that was reached."""
        return Outlook(state.z @ self.endings, state.z @ self.rewards)

    def decode(self, state, frame_shape):
        """The known frame of each z."""
        return (state.z @ self.frames * 255.0).clamp(0, 255).round().to(torch.uint8).view(-1, *frame_shape)


@dataclass(frozen=True)
class TableTraining(WorldTraining):
    """Settings of the training. A table is trained by counting, so its sizes are the only ones of its own."""

    model: TableConfig = TableConfig()

    @property
    def sizes(self):
        """Sizes of the table."""
        return self.model


def build_table(config, action, kinds):
    """Builds a table without known frames."""
    return Table(config, action.n, kinds)


@torch.no_grad()
def train_table(settings: TableTraining, job: TrainingJob) -> Trained:
    """Stores every different frame, and counts transitions, endings and rewards."""
    table = build_table(settings.model, job.config.action, 1 + len(job.config.endings))
    frames = np.concatenate([episode.observations.reshape(len(episode) + 1, -1) for episode in job.episodes])
    known = np.unique(frames, axis=0)[: settings.model.cells]
    table.frames[: len(known)] = torch.from_numpy(known).float() / 255.0
    follows = torch.full_like(table.transitions, 1e-3)
    ends, pays = torch.full_like(table.endings, 1e-6), torch.zeros_like(table.rewards)
    for recording in record(table, job.episodes, job.config):
        cell = recording.embedding.argmin(-1)
        index = (cell[:-1] * job.config.action.n + recording.action) * settings.model.cells + cell[1:]
        follows.view(-1).index_add_(0, index, torch.ones(len(recording)))
        ends.index_put_((cell[1:], recording.ending), torch.ones(len(recording)), accumulate=True)
        pays.index_put_((cell[1:], recording.ending), recording.reward, accumulate=True)
    table.transitions.copy_(follows / follows.sum(-1, keepdim=True))
    table.endings.copy_(ends / ends.sum(-1, keepdim=True))
    table.rewards.copy_(pays / ends.clamp(min=1.0))
    return Trained(table.eval())


register_world_model("table", config=TableConfig, build=build_table, settings=TableTraining, train=train_table)


def main(folder: Path) -> None:
    """Collects episodes, trains a world and an agent, compares and judges them."""
    dreamenv.collect("Grid-v0", folder / "episodes", dreamenv.CollectConfig(frames=6000))
    world = dreamenv.train(folder, TableTraining())
    print(world, "with", int((world.model.frames >= 0).all(1).sum()), "cells")
    ppo = dreamenv.PPOConfig(timesteps=30_000, num_envs=16, n_steps=64, batch_size=256, temperature=1.0)
    agent = dreamenv.train_ppo(world, folder / "agents" / "ppo", ppo)
    settings = dreamenv.CompareConfig(temperatures=(1.0,), episodes=50, seed=80_000)
    for score in dreamenv.compare(world, agent, settings).scores:
        print(f"{score.policy:16} {score.place:8} success {score.success:.2f}, return {score.mean:.3f}")
    records = dreamenv.EpisodeStore(folder / "episodes")
    verdict = dreamenv.trust(world, agent, records, dreamenv.TrustConfig(dreams=50))
    print(f"the dream promises {verdict.dream.mean:.2f}, the records leave {verdict.believed:.2f}: {verdict.light}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
