"""The mask decoder for many prompts on one image, rewritten for speed: the same masks and scores.

Against ``segment_anything.modeling.MaskDecoder`` (N image positions, T tokens, C channels):

- The image side is the same for every prompt until the first layer has written to it, so what the
  first layer needs of it is computed once an image.
- Tokens are projected instead of positions (``cross_attention``).
- The last attention is done for the token that predicts the IoU. Only for prompts that are still
  wanted then, it is done for the tokens of the wanted masks too, and those masks are upscaled, and
  only where the image is not padding.
- On a CPU tokens are computed for a batch of prompts together, and image sides one by one, each
  written and read in one go, which keeps it in the cache while it is used.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from serving.sam.layers.cross_attention import CrossAttention, Offer, Question
from serving.sam.layers.mask_upscaling import MaskUpscaler

if TYPE_CHECKING:
    from segment_anything.modeling import Sam
    from segment_anything.modeling.transformer import TwoWayAttentionBlock


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class ImageSide:
    """What every prompt on one image shares.

    Attributes:
        side: (1, N, C), the embedding with the dense prompt added.
        first_k, first_q: (H, D, N), keys and queries of the first layer's two cross attentions.
        first_v: (H, N, D), values of its first.
    """

    side: torch.Tensor
    first_k: torch.Tensor
    first_q: torch.Tensor
    first_v: torch.Tensor

    @property
    def size_bytes(self) -> int:
        """Memory that keeping it costs."""
        return sum(
            value.numel() * value.element_size()
            for value in (self.side, self.first_k, self.first_q, self.first_v)
        )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Decoded prompts, before their masks are made.

    Attributes:
        scores: (B, 4) float32, predicted IoU of the single mask and of the three.
        mask_tokens: (B, 4, C) float32, before the last attention.
        asking: (B, 4, C) float32, the same with their prompt added.
        sides: the image side as the prompts left it: (1, N, C) each, or all of them at once.
    """

    scores: torch.Tensor
    mask_tokens: torch.Tensor
    asking: torch.Tensor
    sides: list[torch.Tensor]


class FastDecoder:
    """Calls the official decoder's weights in a faster order.

    Args:
        sam: the loaded network; its weights are shared, not copied.
        dtype: of the image side and its products; float32 is exact.

    Attributes:
        together: whether the image sides of a batch are computed all at once. A GPU wants that; on
            a CPU one at a time stays in the cache.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype = torch.float32) -> None:
        self._decoder, self._prompts, self._dtype = sam.mask_decoder, sam.prompt_encoder, dtype
        self.together = sam.device.type != "cpu"
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
        # The norms of the image side, as it is kept.
        self._norms = [
            (layer.norm4.weight.detach().to(dtype), layer.norm4.bias.detach().to(dtype))
            for layer in transformer.layers
        ]

    def prepare(self, features: torch.Tensor, dense: torch.Tensor | None = None) -> ImageSide:
        """Compute what prompts on an image share.

        Args:
            features: (1, C, G, G) float32 embedding.
            dense: (1, C, G, G) of a mask prompt; by default what stands for none.
        """
        if dense is None:
            dense = self._prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        side = (features + dense).flatten(2).transpose(1, 2).contiguous()
        _, reading, writing = self._layers[0]
        return ImageSide(
            side=side.to(self._dtype),
            first_k=reading.image_keys(side[0]),
            first_q=writing.image_queries(side[0]),
            first_v=reading.image_values(side[0]),
        )

    def decode(self, image: ImageSide, sparse: torch.Tensor) -> Candidates:
        """Run the transformer for a batch of prompts.

        Args:
            image: of ``prepare``.
            sparse: (B, P, C) float32 prompt tokens, as the official prompt encoder gives them.
        """
        decoder = self._decoder
        prompt = torch.cat([self._special.expand(len(sparse), -1, -1), sparse], dim=1)
        tokens = self._among_tokens(self._layers[0][0], prompt, prompt)
        first = self._layers[0][1]
        read = first.read_shared(tokens + prompt, image.first_k, image.first_v)
        sides: list[torch.Tensor] = []
        for number, (layer, _, writing) in enumerate(self._layers):
            tokens = layer.norm2(tokens + read)
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            asking = tokens + prompt
            offer = writing.offer(asking, tokens)
            if number + 1 < len(self._layers):
                # Tokens attend to each other before they meet the image again, so that an image
                # side is written and read in one go.
                following, reader, _ = self._layers[number + 1]
                tokens = self._among_tokens(following, tokens, prompt)
                question = reader.ask(tokens + prompt)
            else:
                reader, question = self._final, self._final.ask(asking[:, :1])
            sides, taken = self._write_and_read(number, image, sides, offer, reader, question)
            read = reader.answer(taken)
        masks = slice(1, 1 + decoder.num_mask_tokens)
        rating = decoder.transformer.norm_final_attn(tokens[:, :1] + read)
        return Candidates(
            scores=decoder.iou_prediction_head(rating[:, 0]),
            mask_tokens=tokens[:, masks],
            asking=asking[:, masks],
            sides=sides,
        )

    def _write_and_read(
        self,
        number: int,
        image: ImageSide,
        sides: list[torch.Tensor],
        offer: Offer,
        reader: CrossAttention,
        question: Question,
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The image sides after a layer, and what the next attention gathers from them."""
        layer, _, writing = self._layers[number]
        weight, bias = self._norms[number]
        count = len(offer.keys)
        at_once = count if self.together else 1

        def step(start: int) -> tuple[torch.Tensor, torch.Tensor]:
            part = slice(start, start + at_once)
            if sides:
                written = writing.give(offer[part], sides[start // at_once])
            else:
                written = writing.give_shared(offer[part], image.first_q, image.side)
            side = F.layer_norm(written, weight.shape, weight, bias, layer.norm4.eps)
            return side, reader.take(question[part], side)

        done = [step(start) for start in range(0, count, at_once)]
        return [side for side, _ in done], torch.cat([taken for _, taken in done])

    def bytes_per_prompt(self, image: ImageSide) -> int:
        """About how much memory a prompt of a batch needs, until its masks are upscaled.

        The image side three times over (as it was, as it is, and its norm), its products with 8
        tokens of every head twice, and the upscaled side of 16 times as many positions.
        """
        positions, channels = image.side.shape[1:]
        products = 2 * 8 * self._final.heads * positions
        upscaled = 2 * 16 * positions * (channels // 8)
        return (3 * positions * channels + products) * image.side.element_size() + 4 * upscaled

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
        prompts, owners = torch.unique_consecutive(wanted[:, 0], return_inverse=True)
        if self.together:
            masks = wanted[:, 1].unique()
            logits = self._masks(found, prompts, masks, found.sides[0][prompts], extent)
            return logits[owners, torch.searchsorted(masks, wanted[:, 1].contiguous())]

        def of_prompt(number: int) -> torch.Tensor:
            prompt = prompts[number : number + 1]
            masks = wanted[owners == number, 1]
            return self._masks(found, prompt, masks, found.sides[int(prompt)], extent)[0]

        return torch.cat([of_prompt(number) for number in range(len(prompts))])

    def _masks(
        self,
        found: Candidates,
        prompts: torch.Tensor,
        masks: torch.Tensor,
        sides: torch.Tensor,
        extent: tuple[int, int],
    ) -> torch.Tensor:
        """The same masks (M,) of some prompts (U,) with their image sides: (U, M, h, w)."""
        tokens, asking = found.mask_tokens[prompts][:, masks], found.asking[prompts][:, masks]
        taken = self._final.take(self._final.ask(asking), sides)
        norm = self._decoder.transformer.norm_final_attn
        seen = norm(tokens + self._final.answer(taken))
        return self._upscaler(seen, masks.tolist(), sides, extent)
