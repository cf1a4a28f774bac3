"""The mask decoder for many prompts on one image, rewritten for speed: the same masks and scores.

Against ``segment_anything.modeling.MaskDecoder`` (names as there; N image positions, T tokens, H
heads):

- The image side is the same for every prompt until the first layer has written to it, so what the
  first layer needs of it is computed once an image.
- T tokens meet N positions, and T is about 7 where N is 4096. ``q (K W)^T = (q W^T) K^T``: the few
  tokens are projected instead of the many positions, in all three cross attentions that remain.
- A constant added to every position of a key does not change its softmax, and the positional
  encoding's product with a weight is a constant of the model.
- The predicted IoU needs the tokens alone. Masks are upscaled only for the prompts that are still
  wanted, only the wanted ones of the four, and only where the image is not padding.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from segment_anything.modeling import Sam
    from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock


class _Cross:
    """One cross attention between tokens and image, with its weights a head apart."""

    def __init__(self, attention: Attention, positions: torch.Tensor, dtype: torch.dtype) -> None:
        self.heads = attention.num_heads
        width = attention.internal_dim // self.heads
        self.scale = width**-0.5
        self.attention = attention

        def per_head(weight: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = weight.detach().unflatten(0, (self.heads, width))
            return found

        # (H, D, C) each; what belongs to the image is cast, what belongs to tokens stays float32.
        self.q, self.k, self.v = (
            per_head(layer.weight)
            for layer in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        self.out = attention.out_proj.weight.detach().T.unflatten(0, (self.heads, width))
        self.dtype = dtype
        # (H, D, N): the image's positional encoding, projected; a constant of the model.
        self.positions_k = (self.k @ positions.T).to(dtype)
        self.positions_q = (self.q @ positions.T + per_head(attention.q_proj.bias)[..., None]).to(
            dtype
        )

    def tokens(self, layer: nn.Linear, value: torch.Tensor) -> torch.Tensor:
        """Project tokens (B, T, C) to (B, H, T, D)."""
        found: torch.Tensor = layer(value).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return found

    def meet(self, tokens: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Products of tokens (B, H, T, D) with a shared image side (H, D, N): (B, H, T, N)."""
        batch, heads, count, _ = tokens.shape
        flat = tokens.transpose(0, 1).flatten(1, 2).to(self.dtype)
        found = torch.bmm(flat, image).view(heads, batch, count, -1)
        return found.transpose(0, 1)

    def meet_each(
        self, tokens: torch.Tensor, weight: torch.Tensor, keys: torch.Tensor, constant: torch.Tensor
    ) -> torch.Tensor:
        """Products with an image side (B, N, C) of each prompt's own, plus the shared constant."""
        folded = torch.einsum("bhtd,hdc->bhtc", tokens, weight).flatten(1, 2).to(self.dtype)
        shared = self.meet(tokens, constant).flatten(1, 2)
        found = torch.baddbmm(shared, folded, keys.transpose(1, 2))
        each: torch.Tensor = found.unflatten(1, (self.heads, -1))
        return each

    def read(self, weights: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """What tokens take from the image: weights (B, H, T, N), keys (B or 1, N, C); (B, T, C)."""
        flat = weights.flatten(1, 2)
        if len(keys) == 1:
            gathered = (flat.flatten(0, 1) @ keys[0]).unflatten(0, (len(flat), -1))
        else:
            gathered = torch.bmm(flat, keys)
        gathered = gathered.unflatten(1, (self.heads, -1)).float()
        values = torch.einsum("bhtc,hdc->bthd", gathered, self.v).flatten(2)
        found: torch.Tensor = self.attention.out_proj(values + self.attention.v_proj.bias)
        return found

    def write(
        self, weights: torch.Tensor, values: torch.Tensor, keys: torch.Tensor
    ) -> torch.Tensor:
        """The image side with what tokens give it added: (B, N, C).

        Args:
            weights: (B, H, T, N), one at every position over a head's tokens.
            values: (B, H, T, D).
            keys: (B or 1, N, C).
        """
        folded = torch.einsum("bhtd,hdc->bhtc", values, self.out)
        # Every head's weights add up to one, so the bias can be spread over the heads.
        folded = (folded + self.attention.out_proj.bias / self.heads).flatten(1, 2).to(self.dtype)
        before = keys.expand(len(weights), -1, -1)
        return torch.baddbmm(before, weights.flatten(1, 2).transpose(1, 2), folded)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class ImageSide:
    """What every prompt on one image shares.

    Attributes:
        keys: (1, N, C), the embedding with the constant of "no mask prompt".
        first_k, first_q: (H, D, N), keys and queries of the first layer's two cross attentions.
    """

    keys: torch.Tensor
    first_k: torch.Tensor
    first_q: torch.Tensor


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Decoded prompts, before their masks are upscaled.

    Attributes:
        scores: (B, 4) float32, predicted IoU of the single mask and of the three.
        mask_tokens: (B, 4, C) float32.
        keys: (B, N, C), the image side as the prompts left it.
    """

    scores: torch.Tensor
    mask_tokens: torch.Tensor
    keys: torch.Tensor


class FastDecoder:
    """Calls the official decoder's weights in a faster order.

    Args:
        sam: the loaded network; its weights are shared, not copied.
        dtype: of the image side and its products; float32 is exact.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype = torch.float32) -> None:
        self._decoder, self._prompts, self._dtype = sam.mask_decoder, sam.prompt_encoder, dtype
        transformer = self._decoder.transformer
        positions = self._prompts.get_dense_pe().flatten(2)[0].T.detach()
        self._layers: list[tuple[TwoWayAttentionBlock, _Cross, _Cross]] = [
            (
                layer,
                _Cross(layer.cross_attn_token_to_image, positions, dtype),
                _Cross(layer.cross_attn_image_to_token, positions, dtype),
            )
            for layer in transformer.layers
        ]
        self._final = _Cross(transformer.final_attn_token_to_image, positions, dtype)
        first, norm, act, second, act2 = self._decoder.output_upscaling
        self._norm, self._acts = norm, (act, act2)
        self._first = first.weight.detach().flatten(2).transpose(1, 2).flatten(1).to(dtype)
        self._second = second.weight.detach().flatten(2).transpose(1, 2).flatten(1).to(dtype)
        self._biases = first.bias.detach(), second.bias.detach()

    def prepare(self, features: torch.Tensor) -> ImageSide:
        """Compute what all prompts on an image share, from its embedding (1, C, G, G)."""
        empty = self._prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        keys = (features + empty).flatten(2).transpose(1, 2)
        _, reading, writing = self._layers[0]
        image = keys[0].T
        return ImageSide(
            keys=keys.to(self._dtype).contiguous(),
            first_k=(reading.k @ image).to(self._dtype) + reading.positions_k,
            first_q=(writing.q @ image).to(self._dtype) + writing.positions_q,
        )

    def decode(self, image: ImageSide, sparse: torch.Tensor) -> Candidates:
        """Run the transformer for a batch of prompts.

        Args:
            image: of ``prepare``.
            sparse: (B, P, C) float32 prompt tokens, as the official prompt encoder gives them.
        """
        decoder = self._decoder
        special = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        prompt = torch.cat([special.expand(len(sparse), -1, -1), sparse], dim=1)
        tokens, keys = prompt, image.keys
        for number, (layer, reading, writing) in enumerate(self._layers):
            tokens = self._among_tokens(layer, tokens, prompt)
            asked = reading.tokens(reading.attention.q_proj, tokens + prompt) * reading.scale
            if number == 0:
                products = reading.meet(asked, image.first_k)
            else:
                products = reading.meet_each(asked, reading.k, keys, reading.positions_k)
            tokens = layer.norm2(tokens + reading.read(products.softmax(-1), keys))
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            offered = writing.tokens(writing.attention.k_proj, tokens + prompt) * writing.scale
            values = writing.tokens(writing.attention.v_proj, tokens)
            if number == 0:
                products = writing.meet(offered, image.first_q)
            else:
                products = writing.meet_each(offered, writing.q, keys, writing.positions_q)
            written = writing.write(products.softmax(-2), values, keys)
            norm = layer.norm4
            keys = F.layer_norm(
                written,
                norm.normalized_shape,
                norm.weight.to(self._dtype),
                norm.bias.to(self._dtype),
                norm.eps,
            )
        final = self._final
        asked = final.tokens(final.attention.q_proj, tokens + prompt) * final.scale
        products = final.meet_each(asked, final.k, keys, final.positions_k)
        read = final.read(products.softmax(-1), keys)
        tokens = decoder.transformer.norm_final_attn(tokens + read)
        count = decoder.num_mask_tokens
        return Candidates(
            scores=decoder.iou_prediction_head(tokens[:, 0]),
            mask_tokens=tokens[:, 1 : 1 + count],
            keys=keys,
        )

    @staticmethod
    def _among_tokens(
        layer: TwoWayAttentionBlock, tokens: torch.Tensor, prompt: torch.Tensor
    ) -> torch.Tensor:
        if layer.skip_first_layer_pe:
            tokens = layer.self_attn(q=tokens, k=tokens, v=tokens)
        else:
            with_prompt = tokens + prompt
            tokens = tokens + layer.self_attn(q=with_prompt, k=with_prompt, v=tokens)
        normed: torch.Tensor = layer.norm1(tokens)
        return normed

    def upscale(
        self, found: Candidates, wanted: torch.Tensor, extent: tuple[int, int]
    ) -> torch.Tensor:
        """Low-resolution logits of some masks of a batch.

        Args:
            found: of ``decode``.
            wanted: (K, 2) int64, prompt and mask (0-3) of each, in the order of prompts.
            extent: rows and columns of embedding positions that are not padding.

        Returns:
            (K, 4 * rows, 4 * columns) float32.
        """
        rows, columns = extent
        prompts, places = torch.unique_consecutive(wanted[:, 0], return_inverse=True)
        side = int(found.keys.shape[1] ** 0.5)
        source = found.keys[prompts].unflatten(1, (side, side))[:, :rows, :columns].flatten(1, 2)
        fine = (source @ self._first).unflatten(2, (4, -1)).float() + self._biases[0]
        norm = self._norm
        fine = F.layer_norm(fine, norm.weight.shape, norm.weight, norm.bias, norm.eps)
        fine = self._acts[0](fine).to(self._dtype)
        finer = (fine @ self._second).unflatten(3, (4, -1)).float() + self._biases[1]
        finer = self._acts[1](finer).flatten(1, 3)  # (prompts, positions * 16, C / 8)
        heads = self._decoder.output_hypernetworks_mlps
        tokens = found.mask_tokens[prompts]
        weights = torch.stack([head(tokens[:, number]) for number, head in enumerate(heads)], dim=1)
        masks = torch.bmm(weights, finer.transpose(1, 2))[places, wanted[:, 1]]
        masks = masks.view(len(wanted), rows, columns, 2, 2, 2, 2)
        return masks.permute(0, 1, 3, 5, 2, 4, 6).reshape(len(wanted), 4 * rows, 4 * columns)
