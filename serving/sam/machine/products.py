"""Matrix products on this machine's processor.

PyTorch multiplies float32 matrices on a CPU with MKL, which leaves a quarter of an AMD processor
unused. oneDNN, which is in the same PyTorch, does not, and it computes the activation while the
result is still near the processor (``python -m tests.benchmarks.products`` measures both). PyTorch
offers it to compiled programs only, as ``mkldnn::_linear_pointwise``. Where that is missing, and on
a GPU, these functions use the ordinary product; both multiply in full float32.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F


@functools.cache
def has_onednn(dtype: torch.dtype) -> bool:
    """Whether oneDNN's products of a type work here, with the signature that is used below.

    Every type has its own answer: oneDNN multiplies bfloat16 only on processors with AVX-512, and
    on others PyTorch's ordinary product is slower and right.

    Args:
        dtype: of both matrices.
    """
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    # Whole numbers, which both types hold exactly. Of a size that real products have.
    probe = torch.arange(64 * 32).remainder(5).reshape(64, 32).to(dtype)
    weight, bias, plus = probe[:16].contiguous(), probe[0, :16].clone(), probe[:, :16].contiguous()
    expected = F.linear(probe, weight, bias)
    try:
        product = _onednn(probe, weight, bias, "none")
        activated = _onednn(probe, weight, bias, "gelu")
        summed = _onednn_plus(plus, probe, weight, bias)
    except (AttributeError, RuntimeError, TypeError):  # another PyTorch, or another processor
        return False
    return all(
        torch.allclose(found.float(), wanted.float(), rtol=0.02, atol=0.02)
        for found, wanted in (
            (product, expected),
            (activated, F.gelu(expected)),
            (summed, expected + plus),
        )
    )


def _fast(value: torch.Tensor) -> bool:
    return value.device.type == "cpu" and has_onednn(value.dtype)


def linear(
    value: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    gelu: bool = False,
) -> torch.Tensor:
    """``value @ weight.T + bias``, or its exact GELU.

    Args:
        value: (..., K).
        weight: (N, K), of the same type.
        bias: (N,).
        gelu: apply ``torch.nn.GELU()``.

    Returns:
        (..., N) of the same type.
    """
    if _fast(value):
        return _onednn(value, weight, bias, "gelu" if gelu else "none")
    output = F.linear(value, weight, bias)
    return F.gelu(output) if gelu else output


def linear_plus(
    plus: torch.Tensor, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """``plus + value @ weight.T + bias``.

    Args:
        plus: (..., N).
        value: (..., K).
        weight: (N, K), of the same type.
        bias: (N,).

    Returns:
        (..., N) of the same type.
    """
    if _fast(value):
        return _onednn_plus(plus, value, weight, bias)
    return plus + F.linear(value, weight, bias)


def products(value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``value @ weight.transpose(1, 2)`` of (B, M, K) and (B, N, K)."""
    if _fast(value) and len(value) == 1:
        return _onednn(value, weight[0].contiguous(), None, "none")
    return torch.bmm(value, weight.transpose(1, 2))


def add_products(start: torch.Tensor, value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``start + value @ weight.transpose(1, 2)``.

    Args:
        start: (B, M, N); the result may overwrite it.
        value: (B, M, K).
        weight: (B, N, K).
    """
    if _fast(value) and len(value) == 1:
        return _onednn_plus(start[0], value[0], weight[0].contiguous(), None)[None]
    return start.baddbmm_(value, weight.transpose(1, 2))


# Both copy matrices with gaps between their rows, which oneDNN multiplies hundreds of times slower.


def _onednn(
    value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, activation: str
) -> torch.Tensor:
    product = torch.ops.mkldnn._linear_pointwise
    kind = "none" if activation == "gelu" else ""  # "none" is GELU's exact form
    output: torch.Tensor = product(value.contiguous(), weight, bias, activation, [], kind)
    return output


def _onednn_plus(
    plus: torch.Tensor, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    product = torch.ops.mkldnn._linear_pointwise.binary
    output: torch.Tensor = product(value.contiguous(), plus.contiguous(), weight, bias, "add")
    return output
