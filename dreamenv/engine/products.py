"""Products of (B, K) rows with a constant matrix: in float32, bfloat16 or eight bits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.processor import mkl_is_fast


class MatrixProduct:
    """x W^T with constant W.

    Args:
        weight: W, (M, K) float32.
        dtype: Of the product, float32 or bfloat16.
    """

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        self.dtype, self.shape = dtype, weight.shape
        self._onednn = dtype is torch.float32 and weight.device.type == "cpu" and not mkl_is_fast()
        if self._onednn:
            self._weight = weight.to_mkldnn()
        elif dtype is torch.float32:
            self._weight = weight.T.contiguous()  # with few rows MKL is faster so: docs/results/speed.md
        else:
            self._weight = weight.to(dtype).T

    def __reduce__(self) -> tuple[type[MatrixProduct], tuple[Tensor, torch.dtype]]:
        """Copies and pickles W itself, because oneDNN's layout supports neither, and another processor may load it."""
        return MatrixProduct, (self._weight.to_dense() if self._onednn else self._weight.T, self.dtype)

    def onto(self, start: Tensor, x: Tensor) -> Tensor:
        """Adds the product with (B, K) float32 ``x`` to (B, M) ``start``, in place; returns float32."""
        if self._onednn:
            return start.add_(F.linear(x.to_mkldnn(), self._weight).to_dense())
        return start.addmm_(x.to(self.dtype), self._weight).float()


class EightBitProduct:
    """x W^T with constant W, both rounded to integers from -127 to 127.

    Every row of x and of W has its own scale, which maps its largest number to 127, so a row of the product depends on
    no other row of x. Sums of integers are exact.

    Args:
        weight: W, (M, K) float32.
        exact: Number of first columns that are multiplied in float32.

    Raises:
        SettingsError: If the weight is not on the processor.
    """

    def __init__(self, weight: Tensor, exact: int = 0) -> None:
        if weight.device.type != "cpu":
            raise SettingsError(f"expected dtype 'float32' or 'bfloat16' on {weight.device.type}, got 'int8'")
        self.dtype, self.shape = torch.float32, weight.shape
        self._exact = weight[:, :exact].T
        whole, scale = _rounded(weight[:, exact:])
        self._weight, self._scale = whole.T, scale[:, 0]

    def onto(self, start: Tensor, x: Tensor) -> Tensor:
        """Adds the product with (B, K) ``x`` to (B, M) ``start``, in place; all float32."""
        exact, rest = x.tensor_split([len(self._exact)], dim=1)
        whole, scale = _rounded(rest)
        start.addmm_(exact, self._exact)
        return start.addcmul_(torch._int_mm(whole, self._weight).float().mul_(self._scale), scale)


def matrix_product(weight: Tensor, dtype: torch.dtype, exact: int = 0) -> MatrixProduct | EightBitProduct:
    """The product with (M, K) ``weight`` in a type; ``exact`` of its columns stay in float32 where that is int8."""
    return EightBitProduct(weight, exact) if dtype is torch.int8 else MatrixProduct(weight, dtype)


def _rounded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds rows to int8; returns these and the (rows, 1) scales that restore their size."""
    scale = rows.abs().amax(dim=1, keepdim=True).clamp_(min=1e-30) / 127.0
    return (rows / scale).round_().to(torch.int8), scale
