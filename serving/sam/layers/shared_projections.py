"""What an image gives the low-rank decoder once, for all prompts on it.

``low_rank_tokens`` explains the algebra and its symbols. Everything here is a product of the
image's own tokens, which no prompt has changed, with weights of the model: (H, D, N) each.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from serving.sam.machine.products import linear
from serving.sam.mask_decoder import PreparedImage

if TYPE_CHECKING:
    from segment_anything.modeling.transformer import TwoWayAttentionBlock

    from serving.sam.layers.cross_attention import CrossAttention


def centred(values: torch.Tensor) -> torch.Tensor:
    """Without their mean over channels, the last axis."""
    return values - values.mean(-1, keepdim=True)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class SharedProjections(PreparedImage):
    """Of one image, float32: 27 MB in the published networks' shape (256 channels, 64 x 64).

    Attributes:
        read_keys: (H, D, N), of the first layer's reading.
        read_values: (H, N, D), of the same.
        write_queries: (H, D, N), of the first layer's writing.
        square: (N,) the square of the centred tokens ``c``.
        first: (3H, D, N), what a prompt's first write is multiplied with: ``c``, the centred ``u``
            and ``u``'s keys of the second reading.
        values: (H, D, N), ``u``'s values of the second reading.
        second: (2H, D, N), ``u``'s queries of the second writing, and the centred ``u`` for what
            the second write is multiplied with.
        second_square: (N,) the square of the centred ``u``.
        second_bias: (N,) its product with the share of a token in the constant of the second write.
        final_keys: (H, D, N), of the last reading.
        final_values: (H, D, N), of the same.
        upscaled: (N, 4 * out), the product of the first upscaling.
    """

    read_keys: torch.Tensor
    read_values: torch.Tensor
    write_queries: torch.Tensor
    square: torch.Tensor
    first: torch.Tensor
    values: torch.Tensor
    second: torch.Tensor
    second_square: torch.Tensor
    second_bias: torch.Tensor
    final_keys: torch.Tensor
    final_values: torch.Tensor
    upscaled: torch.Tensor

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.square.device


class Writes:
    """The weights by which prompts write to an image twice, folded with the norms between.

    Args:
        layers: the transformer's two, each with its reading and its writing.
        final: the last reading.
        upscaling: (4 * out, C), the first product of the upscaling.

    Attributes:
        channels: C.
        heads: H.
        gain, bias: (C,) of the first norm, ``g`` and ``b``.
        second_gain, second_bias: (C,) of the second.
        out, gained_out: (H, D, C) what values of the first write become, centred: in ``c``, and
            there multiplied by ``g``.
        second_out: (H, D, C), the same of the second write, centred.
        constant: (C,) what every token of every head adds to the second write beside its value:
            its part of the bias and of ``b``. Weights of a head add up to one.
        write_positions: (H, D, N), of the second write's queries, with those of ``b``.
    """

    def __init__(
        self,
        layers: list[tuple[TwoWayAttentionBlock, CrossAttention, CrossAttention]],
        final: CrossAttention,
        upscaling: torch.Tensor,
    ) -> None:
        (first, self.reading, self.writing), (second, self.second_reading, self.second_writing) = (
            layers
        )
        self.final, self.upscaling = final, upscaling
        self.heads = final.heads
        self.channels = len(first.norm4.weight)
        self.gain, self.bias = first.norm4.weight.detach(), first.norm4.bias.detach()
        self.second_gain, self.second_bias = (
            second.norm4.weight.detach(),
            second.norm4.bias.detach(),
        )
        self.epsilons: tuple[float, float] = first.norm4.eps, second.norm4.eps
        self.out = centred(self.writing.output_weights)
        self.gained_out = self.out * self.gain
        self.second_out = centred(self.second_writing.output_weights)
        self.constant = centred(self.bias + self.second_writing.output_bias) / self.heads
        self.write_positions = self.second_writing.query_positions + (
            self.second_writing.query_weights @ self.bias
        ).unsqueeze(-1)
        # A product with u is one with c whose weights are multiplied by g, and one with a centred
        # u is that of centred weights with u. So all of them are one product with c.
        self._weights = torch.cat(
            [
                self.out,
                centred(self.gained_out) * self.gain,
                self.second_reading.key_weights * self.gain,
                self.second_reading.value_weights * self.gain,
                self.second_writing.query_weights * self.gain,
                self.second_out * self.gain,
                centred(final.key_weights * self.second_gain) * self.gain,
                centred(final.value_weights * self.second_gain) * self.gain,
            ]
        ).flatten(0, 1)
        self._upscaling = centred(upscaling * self.second_gain) * self.gain

    def share(self, tokens: torch.Tensor) -> SharedProjections:
        """Multiply an image's tokens (N, C) float32 by all of them."""
        c = centred(tokens + self.writing.output_bias)
        middle = centred(c * self.gain)
        projected = linear(self._weights, c).unflatten(0, (8 * self.heads, -1))
        first, values, second, final_keys, final_values = projected.split(
            [self.heads * times for times in (3, 1, 2, 1, 1)]
        )
        return SharedProjections(
            read_keys=self.reading.image_keys(tokens),
            read_values=self.reading.image_values(tokens),
            write_queries=self.writing.image_queries(tokens),
            square=c.square().sum(1),
            first=first,
            values=values,
            second=second,
            second_square=middle.square().sum(1),
            second_bias=middle @ self.constant,
            final_keys=final_keys,
            final_values=final_values,
            upscaled=linear(c, self._upscaling),
        )
