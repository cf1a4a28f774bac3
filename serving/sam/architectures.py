"""Architectures of SAM: the published ones, and the one that the shapes of weights imply."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from serving.sam.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from segment_anything.modeling import Sam
    from torch import nn

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Every size that a SAM has whatever its image encoder.

    Attributes:
        image_size: side of the square the network sees, in pixels.
        patch_size: side of one patch, in pixels; ``image_size // patch_size`` positions a side.
        embedding_channels: channels of the image embedding and of the mask decoder.
        decoder_depth: two-way transformer blocks of the mask decoder.
        decoder_heads: attention heads of the mask decoder.
        decoder_mlp: hidden channels of the mask decoder's MLPs.
        mask_channels: hidden channels that embed a mask prompt.
        iou_hidden: hidden channels of the predicted-IoU head.
    """

    image_size: int = 1024
    patch_size: int = 16
    embedding_channels: int = 256
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    mask_channels: int = 16
    iou_hidden: int = 256

    @property
    def grid(self) -> int:
        """Positions a side of the image embedding."""
        return self.image_size // self.patch_size

    @property
    def mask_input_size(self) -> int:
        """Side of the low-resolution logits, also of a mask prompt, in their own pixels."""
        return 4 * self.grid

    def encoder(self) -> nn.Module:
        """Return the image encoder with fresh weights, on the CPU."""
        raise NotImplementedError

    def is_unused(self, name: str) -> bool:
        """Whether published weights have a parameter of that name that computes nothing."""
        return False

    def build(self) -> Sam:
        """Return the network with fresh weights, in evaluation mode, on the CPU."""
        from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

        ensure_torchvision_ops()
        from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

        sam = Sam(
            image_encoder=self.encoder(),  # or another that is called as it is
            prompt_encoder=PromptEncoder(
                embed_dim=self.embedding_channels,
                image_embedding_size=(self.grid, self.grid),
                input_image_size=(self.image_size, self.image_size),
                mask_in_chans=self.mask_channels,
            ),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=3,
                transformer=TwoWayTransformer(
                    depth=self.decoder_depth,
                    embedding_dim=self.embedding_channels,
                    mlp_dim=self.decoder_mlp,
                    num_heads=self.decoder_heads,
                ),
                transformer_dim=self.embedding_channels,
                iou_head_depth=3,
                iou_head_hidden_dim=self.iou_hidden,
            ),
            pixel_mean=list(PIXEL_MEAN),
            pixel_std=list(PIXEL_STD),
        )
        return sam.eval()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SamArchitecture(Architecture):
    """A SAM as Meta published it.

    Attributes:
        encoder_width: channels of the image encoder's tokens.
        encoder_depth: transformer blocks of the image encoder.
        encoder_heads: attention heads of each of those blocks.
        window_size: side of a local attention window, in positions.
        global_blocks: indexes of the blocks that attend over the whole image.
    """

    encoder_width: int
    encoder_depth: int
    encoder_heads: int
    window_size: int = 14
    global_blocks: tuple[int, ...]

    def encoder(self) -> nn.Module:
        """Return the image encoder with fresh weights, on the CPU."""
        import torch
        from segment_anything.modeling import ImageEncoderViT

        encoder: nn.Module = ImageEncoderViT(
            depth=self.encoder_depth,
            embed_dim=self.encoder_width,
            img_size=self.image_size,
            mlp_ratio=4,
            norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=self.encoder_heads,
            patch_size=self.patch_size,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=self.global_blocks,
            window_size=self.window_size,
            out_chans=self.embedding_channels,
        )
        return encoder


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MobileSamArchitecture(Architecture):
    """MobileSAM: SAM's mask decoder behind the one TinyViT that was published with it."""

    def encoder(self) -> nn.Module:
        """Return the image encoder with fresh weights, on the CPU."""
        from serving.sam.tiny_vit import TinyViT

        return TinyViT(self.image_size, self.embedding_channels)

    def is_unused(self, name: str) -> bool:
        """Whether it is the classifier that TinyViT was trained with, or counts of its training."""
        classifier = ("image_encoder.norm_head.", "image_encoder.head.")
        return name.startswith(classifier) or name.endswith(".num_batches_tracked")


MOBILE_SAM = MobileSamArchitecture()
VIT_B = SamArchitecture(
    encoder_width=768, encoder_depth=12, encoder_heads=12, global_blocks=(2, 5, 8, 11)
)
VIT_L = SamArchitecture(
    encoder_width=1024, encoder_depth=24, encoder_heads=16, global_blocks=(5, 11, 17, 23)
)
VIT_H = SamArchitecture(
    encoder_width=1280, encoder_depth=32, encoder_heads=16, global_blocks=(7, 15, 23, 31)
)
VIT_TINY = SamArchitecture(
    image_size=256,
    patch_size=8,
    encoder_width=128,
    encoder_depth=6,
    encoder_heads=4,
    window_size=8,
    global_blocks=(2, 5),
    embedding_channels=128,
    decoder_heads=4,
    decoder_mlp=256,
    mask_channels=16,
    iou_hidden=128,
)


_TINY_VIT = "image_encoder.patch_embed.seq.0.c.weight"


def _blocks(weights: Mapping[str, torch.Tensor], prefix: str) -> int:
    """How many numbered blocks there are below a prefix: 0, 1, 2 and so on, without a gap."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d{1,4})\.")
    numbers = {int(found.group(1)) for name in weights if (found := pattern.match(name))}
    if not numbers or numbers != set(range(len(numbers))):
        raise ValueError(f"blocks {prefix}.0, .1, ... without a gap")
    return len(numbers)


def infer_architecture(weights: Mapping[str, torch.Tensor]) -> Architecture:
    """Return the architecture that a SAM state dict implies, from its shapes alone.

    One size leaves no trace in the shapes: the mask decoder's head count. This function assumes
    one head per 32 channels, which holds for the published models (256 channels, 8 heads) and
    for the embedded one (128, 4).

    Args:
        weights: parameter name to tensor, as ``Sam.state_dict()`` gives them.

    Raises:
        CheckpointError: the names or shapes are not those of a SAM network.
    """
    try:
        decoder = {
            "decoder_depth": _blocks(weights, "mask_decoder.transformer.layers"),
            "decoder_mlp": weights["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
            "mask_channels": weights["prompt_encoder.mask_downscaling.3.weight"].shape[0],
            "iou_hidden": weights["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
        }
        if _TINY_VIT in weights:
            return dataclasses.replace(MOBILE_SAM, **decoder)
        patch = weights["image_encoder.patch_embed.proj.weight"]
        grid = weights["image_encoder.pos_embed"].shape[1]
        width, patch_size = patch.shape[0], patch.shape[-1]
        depth = _blocks(weights, "image_encoder.blocks")
        rows, head_width = zip(
            *(weights[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape for i in range(depth)),
            strict=True,
        )
        channels = weights["image_encoder.neck.0.weight"].shape[0]
        local_rows = [count for count in rows if count != 2 * grid - 1]
        return SamArchitecture(
            image_size=grid * patch_size,
            patch_size=patch_size,
            encoder_width=width,
            encoder_depth=depth,
            encoder_heads=width // head_width[0],
            window_size=(local_rows[0] + 1) // 2 if local_rows else 0,
            global_blocks=tuple(i for i, count in enumerate(rows) if count == 2 * grid - 1),
            embedding_channels=channels,
            decoder_heads=max(channels // 32, 1),
            **decoder,
        )
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            "the weights are not those of a Segment Anything (SAM 1) network or of MobileSAM: "
            f"expected parameters such as 'image_encoder.pos_embed', but could not read {error}; "
            "SAM 2, SAM-HQ and detection models have other layouts"
        ) from error
