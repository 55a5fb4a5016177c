"""M laid out for speed: one matrix product moves its state on, and one reads all of its heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from dreamenv.models import mdn
from dreamenv.models.memory import MDNRNN, Outlook


class PackedMDNRNN:
    """Copies of an MDN-RNN's weights in the shapes that single steps are fastest with.

    Its results are those of :class:`MDNRNN`, up to rounding. The gates of all units come from one product with
    [z, a, h], and since tanh x = 2 sigmoid(2 x) - 1, one sigmoid serves them all: it is several times faster than tanh.

    Args:
        memory: M; its later training is not followed.
        dtype: Of the matrix products; everything else is in float32.
    """

    def __init__(self, memory: MDNRNN, dtype: torch.dtype = torch.float32) -> None:
        self._memory, self._dtype = memory, dtype
        size = memory.hidden_size
        input_weight, hidden_weight, input_bias, hidden_bias = (p.detach() for p in memory.lstm.all_weights[0])
        doubled = torch.ones(4, device=input_weight.device).index_fill_(0, torch.tensor(2), 2.0)
        doubled = doubled.repeat_interleave(size)  # the rows of the cell's candidate: input, forget, candidate, output
        self._gates = (torch.cat([input_weight, hidden_weight], 1) * doubled[:, None]).to(dtype)
        self._gate_bias = ((input_bias + hidden_bias) * doubled).to(dtype)
        heads = (memory.mixture, memory.endings.linear, memory.reward.linear)
        self._heads = torch.cat([head.weight.detach()[:, :size] for head in heads]).to(dtype)
        self._head_bias = torch.cat([head.bias.detach() for head in heads]).to(dtype)
        self._head_sizes = [head.out_features for head in heads]
        self._elapsed_weight = memory.reward.linear.weight.detach()[:, size]

    def advance(self, z: Tensor, action: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`dreamenv.models.memory.Memory.advance`."""
        inputs = torch.cat([z, self._memory.embedding(action), h], dim=1).to(self._dtype)
        gates = F.linear(inputs, self._gates, self._gate_bias).float().sigmoid_()
        into, forget, candidate, out = gates.chunk(4, dim=1)
        c = (forget * c).addcmul_(into, candidate, value=2.0).sub_(into)
        h = torch.addcmul(-out, out, torch.mul(c, 2.0).sigmoid_(), value=2.0)
        return h, c

    def outlook(self, h: Tensor, elapsed: Tensor) -> Outlook:
        """See :meth:`dreamenv.models.memory.Memory.outlook`."""
        memory = self._memory
        raw = F.linear(h.to(self._dtype), self._heads, self._head_bias).float()
        mixture, endings, rewards = raw.split_with_sizes(self._head_sizes, dim=1)
        return Outlook(
            mdn.split_parameters(mixture, memory.config.mixture, memory.config.components, memory.latent_size),
            memory.endings.calibrate(endings),
            memory.reward.restore(torch.addcmul(rewards, elapsed[:, None], self._elapsed_weight)),
        )
