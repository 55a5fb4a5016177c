"""Products of rows with a constant matrix: what every type may lose, and what a row may depend on."""

import pytest
import torch

from dreamenv.engine.products import EightBitProduct, matrix_product


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator)


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2), (torch.int8, 2e-2)], ids=str
)
def test_products_are_right_up_to_rounding(draw, dtype, error):
    weight, x, start = draw(48, 80), draw(5, 80), draw(5, 48)
    product = matrix_product(weight, dtype, exact=16)
    expected = start + x @ weight.T

    found = product.onto(start.to(product.dtype), x)

    assert found.dtype is torch.float32
    assert (found - expected).norm() <= error * expected.norm()


def test_exact_columns_are_not_rounded(draw):
    weight, x = draw(48, 80), draw(5, 80)
    x[:, 16:] = 0.0

    found = EightBitProduct(weight, exact=16).onto(torch.zeros(5, 48), x)

    assert torch.allclose(found, x @ weight.T, atol=1e-5)


def test_a_row_in_eight_bits_depends_on_no_other(draw):
    product, x = EightBitProduct(draw(48, 80)), draw(5, 80) * torch.tensor([1.0, 100.0, 1e-3, 0.0, 7.0])[:, None]

    together = product.onto(torch.zeros(5, 48), x)

    alone = torch.cat([product.onto(torch.zeros(1, 48), row[None]) for row in x])
    assert torch.equal(together, alone)
    assert not together[3].any()


def test_eight_bits_are_for_the_processor(draw):
    with pytest.raises(ValueError, match="expected dtype 'float32' or 'bfloat16' on meta, got 'int8'"):
        EightBitProduct(draw(48, 80).to("meta"))
