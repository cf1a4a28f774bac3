"""Matrix products on this machine's processor.

PyTorch multiplies float32 matrices on a CPU with MKL, which leaves a quarter of an AMD processor
unused. oneDNN, which is in the same PyTorch, does not, and it computes the activation while the
result is still near the processor (``python -m tests.benchmarks.products`` measures both). PyTorch
offers it to compiled programs only, as ``mkldnn::_linear_pointwise``. Where that is missing, and on
a GPU, the ordinary product is used; both multiply in full float32.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F


@functools.cache
def has_onednn() -> bool:
    """Whether this PyTorch offers oneDNN's product, and it works."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        probe = torch.eye(2)
        found = torch.ops.mkldnn._linear_pointwise(probe, probe, None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):  # another version of PyTorch
        return False
    return bool(torch.equal(found, probe))


def _fast(value: torch.Tensor) -> bool:
    return value.device.type == "cpu" and value.dtype != torch.float16 and has_onednn()


def linear(
    value: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    gelu: bool = False,
    plus: torch.Tensor | None = None,
) -> torch.Tensor:
    """``value @ weight.T + bias``, its exact GELU, or another value added to it.

    Args:
        value: (..., K).
        weight: (N, K), of the same type.
        bias: (N,).
        gelu: apply ``torch.nn.GELU()``.
        plus: (..., N) to add, instead.

    Returns:
        (..., N) of the same type.
    """
    if _fast(value):
        found: torch.Tensor
        if plus is not None:
            return _onednn_sum(plus, value, weight, bias)
        name, kind = ("gelu", "none") if gelu else ("none", "")
        product = torch.ops.mkldnn._linear_pointwise
        computed: torch.Tensor = product(value.contiguous(), weight, bias, name, [], kind)
        return computed
    found = F.linear(value, weight, bias)
    if plus is not None:
        return found + plus
    return F.gelu(found) if gelu else found


def add_products(start: torch.Tensor, value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``start + value @ weight.transpose(1, 2)``.

    Args:
        start: (B, M, N); it may be written over.
        value: (B, M, K).
        weight: (B, N, K).
    """
    if _fast(value) and len(value) == 1:
        return _onednn_sum(start[0], value[0], weight[0].contiguous(), None)[None]
    return start.baddbmm_(value, weight.transpose(1, 2))


def _onednn_sum(
    start: torch.Tensor, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    # Matrices with gaps between their rows go a way that is hundreds of times slower.
    found: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
        value.contiguous(), start.contiguous(), weight, bias, "add"
    )
    return found
