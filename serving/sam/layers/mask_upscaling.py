"""From a prompt's image tokens to the logits of its masks: the end of the mask decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from serving.sam.machine.products import linear, products

if TYPE_CHECKING:
    from segment_anything.modeling import MaskDecoder


def _as_products(layer: nn.ConvTranspose2d, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Weight (4 * out, in) and bias (4 * out,) of a transposed convolution of 2 with stride 2.

    Its windows do not overlap, so every position gives four by a product of its own.
    """
    weight = layer.weight.detach().permute(2, 3, 1, 0).flatten(0, 2)
    bias = layer.bias.detach().repeat(4)  # type: ignore[union-attr]
    return weight.to(dtype).contiguous(), bias.to(dtype)


class MaskUpscaler:
    """``MaskDecoder.output_upscaling`` and its product with the mask tokens.

    Args:
        decoder: the official decoder, whose weights it shares where they keep their type.
        dtype: of the first product; what follows is float32, as it decides where masks end.

    Attributes:
        first: weight (4 * out, C) and bias (4 * out,) of the first product.
    """

    def __init__(self, decoder: MaskDecoder, dtype: torch.dtype) -> None:
        first, norm, act, second, act2 = decoder.output_upscaling
        if not all(isinstance(a, nn.GELU) and a.approximate == "none" for a in (act, act2)):
            raise TypeError("expected the official decoder's exact GELU between upscaling layers")
        self._heads = decoder.output_hypernetworks_mlps
        self.first, self._second = _as_products(first, dtype), _as_products(second, torch.float32)
        self._scale, self._shift = norm.weight.detach(), norm.bias.detach()
        self._eps = norm.eps

    def __call__(
        self, tokens: torch.Tensor, masks: list[int], images: torch.Tensor, extent: tuple[int, int]
    ) -> torch.Tensor:
        """Logits of some masks of some prompts.

        Args:
            tokens: (U, M, C) float32 mask tokens after the last attention.
            masks: (M,) which of the mask tokens each is.
            images: (U, N, C) the prompts' image tokens.
            extent: rows and columns of positions to upscale.

        Returns:
            (U, M, 4 * rows, 4 * columns) float32.
        """
        rows, columns = extent
        grid = int(images.shape[1] ** 0.5)
        source = images.unflatten(1, (grid, grid))[:, :rows, :columns].flatten(1, 2)
        return self.finish(tokens, masks, linear(source, *self.first), extent)

    def finish(
        self, tokens: torch.Tensor, masks: list[int], first: torch.Tensor, extent: tuple[int, int]
    ) -> torch.Tensor:
        """The same from the first product (U, rows * columns, 4 * out) on."""
        rows, columns = extent
        fine = first.unflatten(2, (4, -1)).float()
        fine = F.gelu(F.layer_norm(fine, self._scale.shape, self._scale, self._shift, self._eps))
        finer = linear(fine, *self._second, gelu=True).unflatten(3, (4, -1))
        finer = finer.flatten(1, 3)  # (U, positions * 16, channels)
        weights = torch.stack(
            [self._heads[mask](tokens[:, index]) for index, mask in enumerate(masks)], dim=1
        )
        logits = products(weights, finer)
        # (U, M, y, x, dy, dx, dy', dx') to rows and columns. Two neighbours in a row stay together:
        # moved as one number of eight bytes, it takes a tenth of the time.
        pairs = logits.view(torch.int64).view(*logits.shape[:2], rows, columns, 2, 2, 2)
        transposed = pairs.permute(0, 1, 2, 4, 6, 3, 5).contiguous().view(torch.float32)
        return transposed.view(*logits.shape[:2], 4 * rows, 4 * columns)
