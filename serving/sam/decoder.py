"""The mask decoder for many prompts on one image, rewritten for speed: the same masks and scores.

Against ``segment_anything.modeling.MaskDecoder`` (N image positions, T tokens, C channels):

- The image tokens (C channels at each position) are the same for every prompt until the first layer
  has updated them, so it computes once per image what the first layer needs of them.
- It projects tokens instead of positions (``cross_attention``).
- It computes the last attention for the token that predicts the IoU. The caller selects masks by
  that prediction; only for their tokens does it compute the last attention too, and it upscales
  only these masks, only where the image is not padding.
- On a CPU it computes prompt tokens for a batch of prompts together, and image tokens for one
  prompt after the other: it writes and reads them in one go, while they are in the cache.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from serving.sam.layers.cross_attention import CrossAttention, TokenKeysValues, TokenQueries
from serving.sam.layers.mask_upscaling import MaskUpscaler

if TYPE_CHECKING:
    from segment_anything.modeling import Sam
    from segment_anything.modeling.transformer import TwoWayAttentionBlock


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """What every prompt on one image shares.

    Attributes:
        tokens: (1, N, C), the embedding with the dense prompt added.
        first_keys, first_queries: (H, D, N), of the first layer's two cross attentions.
        first_values: (H, N, D), of its first.
    """

    tokens: torch.Tensor
    first_keys: torch.Tensor
    first_queries: torch.Tensor
    first_values: torch.Tensor

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return sum(
            value.numel() * value.element_size()
            for value in (self.tokens, self.first_keys, self.first_queries, self.first_values)
        )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DecodedPrompts:
    """Decoded prompts, before their masks are made.

    Attributes:
        scores: (B, 4) float32, predicted IoU of the single mask and of the three.
        mask_tokens: (B, 4, C) float32, before the last attention.
        mask_queries: (B, 4, C) float32, the same with their prompt added.
        images: the image tokens that the prompts updated: (1, N, C) each, or (B, N, C) at once.
    """

    scores: torch.Tensor
    mask_tokens: torch.Tensor
    mask_queries: torch.Tensor
    images: list[torch.Tensor]


class FastDecoder:
    """Calls the official decoder's weights in a faster order.

    Args:
        sam: the loaded network; the decoder shares its weights.
        dtype: of the image tokens and their products; float32 is exact.

    Attributes:
        batched: whether it computes the image tokens of a batch of prompts all at once. A GPU
            needs that to be busy; on a CPU those of a single prompt stay in the cache.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype = torch.float32) -> None:
        self._decoder, self._prompts, self._dtype = sam.mask_decoder, sam.prompt_encoder, dtype
        self.batched = sam.device.type != "cpu"
        transformer = self._decoder.transformer
        positions = self._prompts.get_dense_pe().flatten(2)[0].T.detach()
        self._layers: list[tuple[TwoWayAttentionBlock, CrossAttention, CrossAttention]] = [
            (
                layer,
                CrossAttention(layer.cross_attn_token_to_image, positions, dtype),
                CrossAttention(layer.cross_attn_image_to_token, positions, dtype),
            )
            for layer in transformer.layers
        ]
        self._final = CrossAttention(transformer.final_attn_token_to_image, positions, dtype)
        self._upscaler = MaskUpscaler(self._decoder, dtype)
        decoder = self._decoder
        self._special = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).detach()
        # The norms of the image tokens, in the tokens' own type.
        self._norms = [
            (layer.norm4.weight.detach().to(dtype), layer.norm4.bias.detach().to(dtype))
            for layer in transformer.layers
        ]

    def prepare(self, features: torch.Tensor, dense: torch.Tensor | None = None) -> PreparedImage:
        """Compute what all prompts on an image share.

        Args:
            features: (1, C, G, G) float32 embedding.
            dense: (1, C, G, G) of a mask prompt; by default the embedding that stands for no mask.
        """
        if dense is None:
            dense = self._prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        tokens = (features + dense).flatten(2).transpose(1, 2).contiguous()
        _, reading, writing = self._layers[0]
        return PreparedImage(
            tokens=tokens.to(self._dtype),
            first_keys=reading.image_keys(tokens[0]),
            first_queries=writing.image_queries(tokens[0]),
            first_values=reading.image_values(tokens[0]),
        )

    def decode(self, image: PreparedImage, sparse: torch.Tensor) -> DecodedPrompts:
        """Run the transformer for a batch of prompts.

        Args:
            image: from ``prepare``.
            sparse: (B, P, C) float32 prompt tokens, as the official prompt encoder gives them.
        """
        decoder = self._decoder
        prompt = torch.cat([self._special.expand(len(sparse), -1, -1), sparse], dim=1)
        tokens = self._among_tokens(self._layers[0][0], prompt, prompt)
        first = self._layers[0][1]
        read = first.attend_shared(tokens + prompt, image.first_keys, image.first_values)
        images: list[torch.Tensor] = []
        for number, (layer, _, writing) in enumerate(self._layers):
            tokens = layer.norm2(tokens + read)
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            positioned = tokens + prompt
            keys_values = writing.token_keys_values(positioned, tokens)
            if number + 1 < len(self._layers):
                # Tokens attend to each other before they meet the image again, so that one pass
                # writes and reads the image tokens.
                following, reader, _ = self._layers[number + 1]
                tokens = self._among_tokens(following, tokens, prompt)
                queries = reader.token_queries(tokens + prompt)
            else:
                reader, queries = self._final, self._final.token_queries(positioned[:, :1])
            images, gathered = self._write_and_read(
                number, image, images, keys_values, reader, queries
            )
            read = reader.project(gathered)
        masks = slice(1, 1 + decoder.num_mask_tokens)
        rating = decoder.transformer.norm_final_attn(tokens[:, :1] + read)
        return DecodedPrompts(
            scores=decoder.iou_prediction_head(rating[:, 0]),
            mask_tokens=tokens[:, masks],
            mask_queries=positioned[:, masks],
            images=images,
        )

    def _write_and_read(
        self,
        number: int,
        image: PreparedImage,
        images: list[torch.Tensor],
        keys_values: TokenKeysValues,
        reader: CrossAttention,
        queries: TokenQueries,
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The image tokens after a layer, and what the next attention gathers from them."""
        layer, _, writing = self._layers[number]
        weight, bias = self._norms[number]
        count = len(keys_values.keys)
        at_once = count if self.batched else 1

        def step(start: int) -> tuple[torch.Tensor, torch.Tensor]:
            part = slice(start, start + at_once)
            if images:
                written = writing.update(keys_values[part], images[start // at_once])
            else:
                written = writing.update_shared(
                    keys_values[part], image.first_queries, image.tokens
                )
            updated = F.layer_norm(written, weight.shape, weight, bias, layer.norm4.eps)
            return updated, reader.gather(queries[part], updated)

        steps = [step(start) for start in range(0, count, at_once)]
        return [updated for updated, _ in steps], torch.cat([gathered for _, gathered in steps])

    def bytes_per_prompt(self, image: PreparedImage) -> int:
        """About how much memory a prompt of a batch needs, its masks included.

        The image tokens three times over (as they were, as they are, and their norm), their
        products with 8 tokens of every head twice; upscaled in float32, three times at 4 times as
        many positions with a quarter of the channels, twice at 16 times as many with an eighth.
        """
        positions, channels = image.tokens.shape[1:]
        products = 2 * 8 * self._final.heads * positions
        upscaled = 3 * positions * channels + 2 * 16 * positions * (channels // 8)
        return (3 * positions * channels + products) * image.tokens.element_size() + 4 * upscaled

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
        self, decoded: DecodedPrompts, selected: torch.Tensor, extent: tuple[int, int]
    ) -> torch.Tensor:
        """Low-resolution logits of some masks of a batch.

        Args:
            decoded: from ``decode``.
            selected: (K, 2) int64, prompt and mask (0-3) of each, in the order of prompts.
            extent: rows and columns of embedding positions that are not padding.

        Returns:
            (K, 4 * rows, 4 * columns) float32.
        """
        prompts, owners = torch.unique_consecutive(selected[:, 0], return_inverse=True)
        if self.batched:
            masks = selected[:, 1].unique()
            logits = self._masks(decoded, prompts, masks, decoded.images[0][prompts], extent)
            return logits[owners, torch.searchsorted(masks, selected[:, 1].contiguous())]

        def of_prompt(number: int) -> torch.Tensor:
            prompt = prompts[number : number + 1]
            masks = selected[owners == number, 1]
            return self._masks(decoded, prompt, masks, decoded.images[int(prompt)], extent)[0]

        return torch.cat([of_prompt(number) for number in range(len(prompts))])

    def _masks(
        self,
        decoded: DecodedPrompts,
        prompts: torch.Tensor,
        masks: torch.Tensor,
        images: torch.Tensor,
        extent: tuple[int, int],
    ) -> torch.Tensor:
        """The same masks (M,) of some prompts (U,) with their image tokens: (U, M, h, w)."""
        tokens, queries = (
            decoded.mask_tokens[prompts][:, masks],
            decoded.mask_queries[prompts][:, masks],
        )
        gathered = self._final.gather(self._final.token_queries(queries), images)
        norm = self._decoder.transformer.norm_final_attn
        tokens = norm(tokens + self._final.project(gathered))
        return self._upscaler(tokens, masks.tolist(), images, extent)
