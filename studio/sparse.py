"""Constant sparse matrices that are applied to many pictures or textures, forwards and backwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class SparseMap:
    """A constant matrix [rows, columns] in compressed rows: `index` and `weight` of row r lie at offset[r] … offset[r + 1].

    `map(x)` is the product with x [columns, C], differentiable any number of times in x; `transposed` is the exact transpose. In
    float64 where x is, in float32 otherwise; on a CPU the result does not depend on the order of threads.
    """

    def __init__(self, offset: Tensor, index: Tensor, weight: Tensor, columns: int) -> None:
        """`offset` [rows + 1] and `index` [n] whole numbers, `weight` [n], all on one device."""
        assert len(index) < 2**31, "too many taps for 32-bit numbers"
        self.offset, self.index = offset.int(), index.int()
        self.weight = weight.float()
        self.rows, self.columns = len(offset) - 1, columns
        self._transposed: SparseMap | None = None

    @classmethod
    def of(cls, matrix: csr_matrix, device: torch.device | str) -> SparseMap:
        """A scipy matrix, on `device`."""
        arrays = (torch.from_numpy(a).to(device) for a in (matrix.indptr, matrix.indices, matrix.data.astype(np.float32)))
        return cls(*arrays, columns=matrix.shape[1])

    @property
    def transposed(self) -> SparseMap:
        """The transpose, made once."""
        if self._transposed is None:
            from scipy.sparse import csr_matrix

            arrays = tuple(t.cpu().numpy() for t in (self.weight, self.index, self.offset))
            turned = csr_matrix(arrays, shape=(self.rows, self.columns)).T.tocsr()
            self._transposed = SparseMap.of(turned, self.weight.device)
            self._transposed._transposed = self
        return self._transposed

    def __call__(self, x: Tensor) -> Tensor:
        """[columns, C] → [rows, C], in x's dtype."""
        assert x.shape[0] == self.columns, f"{tuple(x.shape)} against {self.columns} columns"
        return _Product.apply(x, self)  # type: ignore[no-any-return]

    def _product(self, x: Tensor) -> Tensor:
        wide = x.dtype if x.dtype == torch.float64 else torch.float32
        weight, x_wide = self.weight.to(wide), x.to(wide).contiguous()
        try:
            out = F.embedding_bag(
                self.index, x_wide, self.offset, mode="sum", per_sample_weights=weight, include_last_offset=True
            )
        except NotImplementedError:  # backends without bags, such as older mps
            counts = self.offset.diff().long()
            row = torch.repeat_interleave(torch.arange(self.rows, device=x.device), counts)
            out = x_wide.new_zeros(self.rows, x.shape[1]).index_add(0, row, x_wide[self.index.long()] * weight[:, None])
        return out.to(x.dtype)


class _Product(torch.autograd.Function):
    """The product and its adjoint, which is the product with the transpose."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sparse: SparseMap) -> Tensor:
        ctx.sparse = sparse
        return sparse._product(x)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        return _Product.apply(grad[0], ctx.sparse.transposed), None


def rows_of(stack: Tensor) -> Tensor:
    """[N, C, H, W] → [N·H·W, C], the layout that maps take."""
    return stack.permute(0, 2, 3, 1).reshape(-1, stack.shape[1])


def stack_of(rows: Tensor, count: int, size_px: int) -> Tensor:
    """[N·H·W, C] → [N, C, H, W] with N = count, H = W = size_px; contiguous."""
    return rows.reshape(count, size_px, size_px, -1).permute(0, 3, 1, 2).contiguous()
