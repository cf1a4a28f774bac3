"""The mask decoder on a CPU: exact, without ever making the image tokens of a prompt.

``layers.low_rank_tokens`` has the algebra. Half of the official decoder's products remain, and
nothing of an image's size in channels is written or read for a prompt. It computes the prompts'
own tokens for a whole batch, and what is as wide as the image for one prompt after the other, so
that it stays in the cache. It upscales only the masks that the caller wants, only where the image
is not padding.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from serving.sam.layers import last_reading
from serving.sam.layers.cross_attention import CrossAttention
from serving.sam.layers.low_rank_tokens import (
    SecondTokens,
    first_write,
    read_first,
    second_write,
    write_first,
    write_second,
)
from serving.sam.layers.mask_upscaling import MaskUpscaler
from serving.sam.layers.prompt_tokens import after_reading, among_tokens, with_special_tokens
from serving.sam.layers.shared_projections import SharedProjections, Writes
from serving.sam.mask_decoder import DecodedPrompts, MaskDecoder

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

LAYERS = 2  # of the transformer; the algebra is of two writes


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class LowRankPrompts(DecodedPrompts):
    """Decoded prompts and their image tokens, not made.

    Attributes:
        image: that the prompts point into.
        tokens: of each prompt.
        rows: (B, 2 * H * T, C), what both writes left in them.
    """

    image: SharedProjections
    tokens: list[SecondTokens]
    rows: torch.Tensor


class LowRankDecoder(MaskDecoder[SharedProjections, LowRankPrompts]):
    """Calls the official decoder's weights by low rank, in float32.

    Args:
        sam: the loaded network; the decoder shares its weights. Its transformer has two layers, as
            every published one.
    """

    def __init__(self, sam: Sam) -> None:
        self._decoder, self._prompts = sam.mask_decoder, sam.prompt_encoder
        transformer = self._decoder.transformer
        positions = self._prompts.get_dense_pe().flatten(2)[0].T.detach()

        def attention(module: torch.nn.Module) -> CrossAttention:
            return CrossAttention(module, positions, torch.float32)

        self._final = attention(transformer.final_attn_token_to_image)
        self._layers = [
            (
                layer,
                attention(layer.cross_attn_token_to_image),
                attention(layer.cross_attn_image_to_token),
            )
            for layer in transformer.layers
        ]
        self._upscaler = MaskUpscaler(self._decoder, torch.float32)
        self._writes = Writes(self._layers, self._final, self._upscaler.first[0])

    def prepare(
        self, features: torch.Tensor, dense: torch.Tensor | None = None
    ) -> SharedProjections:
        """Compute what all prompts on an image share, as ``MaskDecoder.prepare``."""
        if dense is None:
            dense = self._prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return self._writes.share((features + dense).flatten(2)[0].T)

    def decode(self, image: SharedProjections, sparse: torch.Tensor) -> LowRankPrompts:
        """Run the transformer for a batch of prompts, as ``MaskDecoder.decode``."""
        decoder, writes = self._decoder, self._writes
        (first, reading, _), (second, second_reading, _) = self._layers
        prompt = with_special_tokens(decoder, sparse)
        tokens = among_tokens(first, prompt, prompt)
        read = reading.attend_shared(tokens + prompt, image.read_keys, image.read_values)
        tokens = after_reading(first, tokens, read)
        positioned = tokens + prompt
        # Tokens attend to each other before they meet the image again.
        following = among_tokens(second, tokens, prompt)
        queries = second_reading.queries(following + prompt)
        write = first_write(writes, positioned, tokens, queries)
        numbers = range(len(sparse))
        written = [write_first(writes, image, write, number) for number in numbers]
        read = read_first(
            writes,
            write,
            torch.stack([read for _, read, _ in written]),
            torch.stack([of_rows for _, _, of_rows in written]),
        )
        tokens = after_reading(second, following, read)
        positioned = tokens + prompt
        write_again = second_write(writes, positioned, tokens, write)
        rows = torch.cat([write.centred, write_again.values], 1) * writes.second_gain
        images = [
            write_second(writes, image, write_again, number, written[number][0])
            for number in numbers
        ]
        read = self._read(image, images, rows, positioned[:, :1])
        rating = decoder.transformer.norm_final_attn(tokens[:, :1] + read)
        masks = slice(1, 1 + decoder.num_mask_tokens)
        return LowRankPrompts(
            scores=decoder.iou_prediction_head(rating[:, 0]),
            mask_tokens=tokens[:, masks],
            mask_queries=positioned[:, masks],
            image=image,
            tokens=images,
            rows=rows,
        )

    def _read(
        self,
        image: SharedProjections,
        images: list[SecondTokens],
        rows: torch.Tensor,
        positioned: torch.Tensor,
    ) -> torch.Tensor:
        """Output (B, M, C) of the last attention of some tokens (B, M, C) of each prompt."""
        queries = self._final.queries(positioned)
        small = last_reading.questions(self._writes, queries, rows)
        read = [
            last_reading.read_second(self._writes, image, *each)
            for each in zip(queries, small, images, strict=True)
        ]
        return last_reading.output(
            self._writes,
            torch.stack([read for read, _ in read]),
            torch.stack([of_rows for _, of_rows in read]),
            rows,
        )

    def bytes_per_prompt(self, image: SharedProjections) -> int:
        """About how much memory a prompt of a batch needs, as ``MaskDecoder.bytes_per_prompt``.

        The attention weights of both writes stay; upscaled in float32, three times at 4 times as
        many positions with a quarter of the channels, twice at 16 times as many with an eighth.
        """
        positions, channels = image.upscaled.shape[0], self._writes.channels
        kept = 2 * 8 * self._writes.heads * positions
        upscaled = 3 * positions * channels + 2 * 16 * positions * (channels // 8)
        return 4 * (kept + upscaled)

    def upscale(
        self, decoded: LowRankPrompts, selected: torch.Tensor, extent: tuple[int, int]
    ) -> torch.Tensor:
        """Low-resolution logits of some masks of a batch, as ``MaskDecoder.upscale``."""
        prompts, owners = torch.unique_consecutive(selected[:, 0], return_inverse=True)
        return torch.cat(
            [
                self._masks(decoded, prompt, selected[owners == number, 1], extent)
                for number, prompt in enumerate(prompts.tolist())
            ]
        )

    def _masks(
        self, decoded: LowRankPrompts, prompt: int, masks: torch.Tensor, extent: tuple[int, int]
    ) -> torch.Tensor:
        """Masks (M,) of one prompt: (M, h, w)."""
        image, tokens, rows = decoded.image, decoded.tokens[prompt], decoded.rows[prompt]
        read = self._read(image, [tokens], rows[None], decoded.mask_queries[prompt, None, masks])
        norm = self._decoder.transformer.norm_final_attn
        mask_tokens = norm(decoded.mask_tokens[prompt, None, masks] + read)
        first = last_reading.first_product(
            self._writes, image, rows, self._upscaler.first[1], tokens, extent
        )
        return self._upscaler.finish(mask_tokens, masks.tolist(), first, extent)[0]
