"""The mask decoder for a batch of prompts at once, as a GPU wants it: the same masks and scores.

Against ``segment_anything.modeling.MaskDecoder`` (N image positions, T tokens, C channels):

- The image tokens (C channels at each position) are the same for every prompt until the first layer
  has updated them, so it computes once per image what the first layer needs of them.
- It projects tokens instead of positions (``cross_attention``).
- It computes the last attention for the token that predicts the IoU. The caller selects masks by
  that prediction; only for their tokens does it compute the last attention too, and it upscales
  only these masks, only where the image is not padding.

A CPU has ``low_rank_decoder``. Without kernels of its own a GPU would gain nothing from low rank:
it would read and write as much.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from serving.sam.layers.cross_attention import CrossAttention
from serving.sam.layers.mask_upscaling import MaskUpscaler
from serving.sam.layers.prompt_tokens import after_reading, among_tokens, with_special_tokens
from serving.sam.machine.transfers import upload
from serving.sam.mask_decoder import DecodedPrompts, MaskDecoder, PreparedImage

if TYPE_CHECKING:
    from segment_anything.modeling import Sam
    from segment_anything.modeling.transformer import TwoWayAttentionBlock


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class SharedTokens(PreparedImage):
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
    def device(self) -> torch.device:
        """Where it lies."""
        return self.tokens.device


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class BatchOfPrompts(DecodedPrompts):
    """Decoded prompts, before their masks are made.

    Attributes:
        images: (B, N, C), the image tokens that each prompt updated.
    """

    images: torch.Tensor


class BatchedDecoder(MaskDecoder[SharedTokens, BatchOfPrompts]):
    """Calls the official decoder's weights in a faster order.

    Args:
        sam: the loaded network; the decoder shares its weights.
        dtype: of the image tokens and their products; float32 is exact.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype = torch.float32) -> None:
        self._decoder, self._prompts, self._dtype = sam.mask_decoder, sam.prompt_encoder, dtype
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
        # The norms of the image tokens, in the tokens' own type.
        self._norms = [
            (layer.norm4.weight.detach().to(dtype), layer.norm4.bias.detach().to(dtype))
            for layer in transformer.layers
        ]

    def prepare(self, features: torch.Tensor, dense: torch.Tensor | None = None) -> SharedTokens:
        """Compute what all prompts on an image share, as ``MaskDecoder.prepare``."""
        if dense is None:
            dense = self._prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        tokens = (features + dense).flatten(2).transpose(1, 2).contiguous()
        _, reading, writing = self._layers[0]
        return SharedTokens(
            tokens=tokens.to(self._dtype),
            first_keys=reading.image_keys(tokens[0]),
            first_queries=writing.image_queries(tokens[0]),
            first_values=reading.image_values(tokens[0]),
        )

    def decode(self, image: SharedTokens, sparse: torch.Tensor) -> BatchOfPrompts:
        """Run the transformer for a batch of prompts, as ``MaskDecoder.decode``."""
        decoder = self._decoder
        prompt = with_special_tokens(decoder, sparse)
        tokens = among_tokens(self._layers[0][0], prompt, prompt)
        first = self._layers[0][1]
        read = first.attend_shared(tokens + prompt, image.first_keys, image.first_values)
        images = image.tokens
        for number, (layer, _, writing) in enumerate(self._layers):
            tokens = after_reading(layer, tokens, read)
            positioned = tokens + prompt
            keys_values = writing.token_keys_values(positioned, tokens)
            if number == 0:
                written = writing.update_shared(keys_values, image.first_queries, image.tokens)
            else:
                written = writing.update(keys_values, images)
            weight, bias = self._norms[number]
            images = F.layer_norm(written, weight.shape, weight, bias, layer.norm4.eps)
            if number + 1 < len(self._layers):
                following, reader, _ = self._layers[number + 1]
                tokens = among_tokens(following, tokens, prompt)
                queries = reader.token_queries(tokens + prompt)
            else:
                reader, queries = self._final, self._final.token_queries(positioned[:, :1])
            read = reader.project(reader.gather(queries, images))
        masks = slice(1, 1 + decoder.num_mask_tokens)
        rating = decoder.transformer.norm_final_attn(tokens[:, :1] + read)
        return BatchOfPrompts(
            scores=decoder.iou_prediction_head(rating[:, 0]),
            mask_tokens=tokens[:, masks],
            mask_queries=positioned[:, masks],
            images=images,
        )

    def bytes_per_prompt(self, image: SharedTokens) -> int:
        """About how much memory a prompt of a batch needs, as ``MaskDecoder.bytes_per_prompt``.

        The image tokens three times over (as they were, as they are, and their norm), their
        products with 8 tokens of every head twice; upscaled in float32, three times at 4 times as
        many positions with a quarter of the channels, twice at 16 times as many with an eighth.
        """
        positions, channels = image.tokens.shape[1:]
        products = 2 * 8 * self._final.heads * positions
        upscaled = 3 * positions * channels + 2 * 16 * positions * (channels // 8)
        return (3 * positions * channels + products) * image.tokens.element_size() + 4 * upscaled

    def upscale(
        self, decoded: BatchOfPrompts, selected: torch.Tensor, extent: tuple[int, int]
    ) -> torch.Tensor:
        """Low-resolution logits of some masks of a batch, as ``MaskDecoder.upscale``."""
        prompts, owners = torch.unique_consecutive(selected[:, 0], return_inverse=True)
        # All masks from the first to the last that a prompt needs; then those that are wanted.
        low, high = (int(n) for n in selected[:, 1].aminmax())
        places = owners * (high + 1 - low) + selected[:, 1] - low
        there = upload(torch.cat([prompts, places]), decoded.scores.device)
        prompts, places = there[: len(prompts)], there[len(prompts) :]
        tokens, queries = (
            value[:, low : high + 1].index_select(0, prompts)
            for value in (decoded.mask_tokens, decoded.mask_queries)
        )
        images = decoded.images.index_select(0, prompts)
        gathered = self._final.gather(self._final.token_queries(queries), images)
        norm = self._decoder.transformer.norm_final_attn
        tokens = norm(tokens + self._final.project(gathered))
        logits = self._upscaler(tokens, list(range(low, high + 1)), images, extent)
        return logits.flatten(0, 1).index_select(0, places)
