"""M laid out for speed: one matrix product moves its state on, and one reads all of its heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from dreamenv.models import mdn
from dreamenv.models.memory import MDNRNN, Outlook
from dreamenv.processor import mkl_is_fast


class AffineMap:
    """x W^T + b with constant weights.

    Args:
        weight: W, (M, K) float32.
        bias: b, (M,) float32.
        dtype: Of the matrix product.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        self.dtype, self.shape = dtype, weight.shape
        self._onednn = dtype is torch.float32 and weight.device.type == "cpu" and not mkl_is_fast()
        weight, bias = weight.to(dtype), bias.to(dtype)
        self._weight, self._bias = (weight.to_mkldnn(), bias.to_mkldnn()) if self._onednn else (weight, bias)

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (B, K) float32 to (B, M) float32."""
        if self._onednn:
            return F.linear(x.to_mkldnn(), self._weight, self._bias).to_dense()
        return F.linear(x.to(self.dtype), self._weight, self._bias).float()


class PackedMDNRNN:
    """Copies of an MDN-RNN's weights in the shapes that single steps are fastest with.

    Its results are those of :class:`MDNRNN`, up to rounding. The gates of all units come from one product with
    [z, a, h], and since tanh x = 2 sigmoid(2 x) - 1, one sigmoid serves them all: it is several times faster than tanh.

    Args:
        memory: M; its later training is not followed.
        dtype: Of the matrix products; everything else is in float32.
    """

    def __init__(self, memory: MDNRNN, dtype: torch.dtype = torch.float32) -> None:
        self._memory = memory
        size = memory.hidden_size
        input_weight, hidden_weight, input_bias, hidden_bias = (p.detach() for p in memory.lstm.all_weights[0])
        rows = [1.0, 1.0, 2.0, 1.0]  # doubled for the cell's candidate; the order is input, forget, candidate, output
        doubled = input_weight.new_tensor(rows).repeat_interleave(size)
        gate_weight = torch.cat([input_weight, hidden_weight], 1) * doubled[:, None]
        self.gates = AffineMap(gate_weight, (input_bias + hidden_bias) * doubled, dtype)
        heads = (memory.mixture, memory.endings.linear, memory.reward.linear)
        head_weight = torch.cat([head.weight.detach()[:, :size] for head in heads])
        self.heads = AffineMap(head_weight, torch.cat([head.bias.detach() for head in heads]), dtype)
        self._head_sizes = [head.out_features for head in heads]
        self._elapsed_weight = memory.reward.linear.weight.detach()[:, size]

    def advance(self, z: Tensor, action: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`dreamenv.models.memory.Memory.advance`."""
        gates = self.gates(torch.cat([z, self._memory.embedding(action), h], dim=1)).sigmoid_()
        into, forget, candidate, out = gates.chunk(4, dim=1)
        c = (forget * c).addcmul_(into, candidate, value=2.0).sub_(into)
        h = torch.addcmul(-out, out, torch.mul(c, 2.0).sigmoid_(), value=2.0)
        return h, c

    def outlook(self, h: Tensor, elapsed: Tensor) -> Outlook:
        """See :meth:`dreamenv.models.memory.Memory.outlook`."""
        memory = self._memory
        mixture, endings, rewards = self.heads(h).split_with_sizes(self._head_sizes, dim=1)
        return Outlook(
            mdn.split_parameters(mixture, memory.config.mixture, memory.config.components, memory.latent_size),
            memory.endings.calibrate(endings),
            memory.reward.restore(torch.addcmul(rewards, elapsed[:, None], self._elapsed_weight)),
        )
