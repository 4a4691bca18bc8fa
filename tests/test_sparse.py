"""Sparse maps against dense matrices."""

from __future__ import annotations

import pytest
import torch
from scipy.sparse import random_array

from studio.sparse import SparseMap, rows_of, stack_of


def pair(rows: int = 7, columns: int = 5) -> tuple[SparseMap, torch.Tensor]:
    matrix = random_array((rows, columns), density=0.4, format="csr", dtype="float32", rng=0)
    return SparseMap.of(matrix, "cpu"), torch.from_numpy(matrix.toarray()).double()


@pytest.mark.parametrize("without_bags", [False, True])
def test_product_transpose_and_gradients(without_bags: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if without_bags:

        def missing(*_: object, **__: object) -> None:
            raise NotImplementedError

        monkeypatch.setattr("torch.nn.functional.embedding_bag", missing)
    sparse, dense = pair()
    x, y = torch.rand(5, 3, dtype=torch.float64, requires_grad=True), torch.rand(7, 3, dtype=torch.float64)
    torch.testing.assert_close(sparse(x), dense @ x, atol=1e-12, rtol=0)
    torch.testing.assert_close(sparse.transposed(y), dense.T @ y, atol=1e-12, rtol=0)
    assert sparse.transposed.transposed is sparse
    assert torch.autograd.gradcheck(sparse, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda v: sparse(v) ** 2, x, fast_mode=True)


def test_dtypes_and_empty_rows() -> None:
    sparse, dense = pair(300, 4)
    assert not dense.any(1).all()
    for dtype, tolerance in ((torch.float16, 1e-2), (torch.bfloat16, 1e-1), (torch.float32, 1e-6)):
        x = torch.rand(4, 2, dtype=dtype)
        assert sparse(x).dtype == dtype
        torch.testing.assert_close(sparse(x).double(), dense @ x.double(), atol=tolerance, rtol=0)


def test_rows_and_stacks_are_inverse() -> None:
    stack = torch.rand(2, 3, 4, 4)
    rows = rows_of(stack)
    assert torch.equal(rows[1 * 16 + 2 * 4 + 3], stack[1, :, 2, 3])
    assert torch.equal(stack_of(rows, 2, 4), stack)
