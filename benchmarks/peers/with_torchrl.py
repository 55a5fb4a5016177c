"""TorchRL: `WorldModelEnv` around a `WorldModel` of an LSTM with a mixture density output."""

from collections.abc import Callable
from itertools import cycle

import torch
from sizes import ACTIONS, GAUSSIANS, HIDDEN, LATENT, Spaces, draw_actions
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.data import Composite, Unbounded
from torchrl.envs import GymWrapper
from torchrl.envs.model_based import WorldModelEnv
from torchrl.modules import WorldModel


class Dynamics(nn.Module):
    """The next z, h and c; TorchRL has no mixture density output, so this one is written to cost little.

    Components lie before latent dimensions, which lets torch vectorize the sums over components.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTMCell(LATENT + ACTIONS, HIDDEN)
        self.mixture = nn.Linear(HIDDEN, 3 * GAUSSIANS * LATENT)
        self.one_hot = torch.eye(ACTIONS)

    def forward(
        self, z: torch.Tensor, h: torch.Tensor, c: torch.Tensor, action: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps (N, Z), (N, H), (N, H) and (N,) to the next z, h and c."""
        h, c = self.lstm(torch.cat([z, self.one_hot[action]], -1), (h, c))
        logits, mean, log_deviation = self.mixture(h).view(-1, 3, GAUSSIANS, LATENT).unbind(1)
        cumulative = logits.exp().cumsum(1)
        chosen = (cumulative[:, :-1] < cumulative[:, -1:] * torch.rand(len(h), 1, LATENT)).sum(1, keepdim=True)
        mean, log_deviation = mean.gather(1, chosen), log_deviation.gather(1, chosen)
        return (mean + log_deviation.exp() * torch.randn_like(mean)).squeeze(1), h, c


class Ending(nn.Module):
    """Whether the episode ends: twice, as TorchRL tells `terminated` from `done`. Its bias says that none ever does."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(HIDDEN, 1)
        nn.init.constant_(self.linear.bias, -10.0)

    def forward(self, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (N, H) to (N, 1) bool."""
        terminated = self.linear(h) > 0
        return terminated, terminated


def make_env(num_envs: int) -> WorldModelEnv:
    """Builds the environment as the documentation of `WorldModelEnv` does."""
    model = WorldModel(
        encoder=TensorDictModule(nn.Identity(), in_keys=["observation"], out_keys=["z"]),
        dynamics=TensorDictModule(
            Dynamics(), in_keys=["z", "h", "c", "action"], out_keys=[("next", "z"), ("next", "h"), ("next", "c")]
        ),
        reward_head=TensorDictModule(nn.Linear(HIDDEN, 1), in_keys=[("next", "h")], out_keys=[("next", "reward")]),
        done_head=TensorDictModule(
            Ending(), in_keys=[("next", "h")], out_keys=[("next", "terminated"), ("next", "done")]
        ),
    )
    sizes = {"z": LATENT, "h": HIDDEN, "c": HIDDEN}
    spec = Composite({key: Unbounded((num_envs, size)) for key, size in sizes.items()}, shape=(num_envs,))
    real = GymWrapper(Spaces(), categorical_action_encoding=True)
    return WorldModelEnv(model, real, observation_spec=spec, batch_size=[num_envs], latent_key="z")


def world_model_env(num_envs: int) -> Callable[[], object]:
    """A step: `env.step`, then `env.step_mdp`, which makes its result the next step's input."""
    env = make_env(num_envs)
    actions = cycle(torch.from_numpy(draw_actions(num_envs)))
    data = env.reset(TensorDict(env.observation_spec.zero(), [num_envs]))

    def step() -> TensorDict:
        nonlocal data
        result = env.step(data.set("action", next(actions)))
        data = env.step_mdp(result)
        return result

    return step
