"""The embedded checkpoint in the shape of Meta's networks, for trials without their files.

Random weights give masks that are all alike and unstable, which proves nothing and costs other
times than real ones. Here the small trained network is widened instead: every channel is repeated
and the weights that read it are divided by how often, which leaves the function as it was
(Net2Net, Chen et al., 2016), blocks that it does not have add next to nothing, and tables of
positions are stretched, and logits are three times as large, so that masks are as stable as a large
network's. Then every weight is changed by some per cent, from a seed, so that no two channels stay
alike. The masks lie on objects, as those of a trained network of that size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from serving.sam.architectures import SamArchitecture, infer_architecture
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.checkpoints import LoadedCheckpoint, load_checkpoint
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

NOISE = 0.02  # of every weight
SHARPER = 3.0  # times the logits
IDLE = 0.05  # how much of its default an added block's output keeps
SETTINGS = AutomaticSettings(pred_iou_thresh=0.5, stability_score_thresh=0.75)

Weights = dict[str, torch.Tensor]


def _repeat(count: int, to: int) -> torch.Tensor:
    """(to,) channels of a width, each as often as fits."""
    return torch.arange(count).repeat_interleave(to // count)


def _heads(heads: int, width: int, to_heads: int, to_width: int) -> torch.Tensor:
    """(to_heads * to_width,) channels of a projection by heads: both repeated."""
    head, channel = _repeat(heads, to_heads), _repeat(width, to_width)
    return (head[:, None] * width + channel).flatten()


def _embedding(count: int, to: int) -> torch.Tensor:
    """(to,) channels of an embedding: sines and cosines of positions stay halves."""
    half = _repeat(count // 2, to // 2)
    return torch.cat([half, half + count // 2])


def _linear(
    weights: Weights, name: str, out: torch.Tensor, read: torch.Tensor, scale: float = 1.0
) -> Weights:
    weight = weights[f"{name}.weight"]
    repeats = len(read) / weight.shape[1]
    tensors = {f"{name}.weight": weight[out][:, read] * (scale / repeats)}
    if f"{name}.bias" in weights:
        tensors[f"{name}.bias"] = weights[f"{name}.bias"][out] * scale
    return tensors


def _norm(weights: Weights, name: str, channels: torch.Tensor) -> Weights:
    return {f"{name}.{part}": weights[f"{name}.{part}"][channels] for part in ("weight", "bias")}


def _encoder(small: LoadedCheckpoint, weights: Weights, sam: Sam) -> Weights:
    encoder, own = sam.image_encoder, small.architecture
    assert isinstance(own, SamArchitecture)
    width, heads = encoder.pos_embed.shape[-1], encoder.blocks[0].attn.num_heads
    channels = _repeat(own.encoder_width, width)
    head_width, to_head_width = own.encoder_width // own.encoder_heads, width // heads
    by_head = _heads(own.encoder_heads, head_width, heads, to_head_width)
    repeats = to_head_width / head_width
    three = torch.cat([by_head + part * own.encoder_width for part in range(3)])
    grid, patch = encoder.pos_embed.shape[1], encoder.patch_embed.proj.kernel_size[0]

    def stretched(value: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return F.interpolate(value, size, mode="bilinear", align_corners=False)

    name = "image_encoder"
    positions = stretched(weights[f"{name}.pos_embed"].permute(0, 3, 1, 2), (grid, grid))
    proj = f"{name}.patch_embed.proj"
    # The patch is shown larger: every weight is spread over the pixels that replace its own.
    filters = stretched(weights[f"{proj}.weight"], (patch, patch)) * (own.patch_size / patch) ** 2
    tensors = {
        f"{name}.pos_embed": positions.permute(0, 2, 3, 1)[..., channels],
        f"{proj}.weight": filters[channels],
        f"{proj}.bias": weights[f"{proj}.bias"][channels],
    }
    whole = [number for number, block in enumerate(encoder.blocks) if not block.window_size]
    # Blocks over the whole image stay such, those in windows keep their order between them.
    depths = [whole[0] - own.global_blocks[0] + n for n in range(own.global_blocks[0] + 1)]
    rest = own.encoder_depth - len(depths)
    depths += [whole[1] - rest + 1 + n for n in range(rest)]
    for number, depth in enumerate(depths):
        old, new = f"{name}.blocks.{number}", f"{name}.blocks.{depth}"
        block: Weights = {}
        hidden = _repeat(4 * own.encoder_width, 4 * width)
        block |= _norm(weights, f"{old}.norm1", channels) | _norm(weights, f"{old}.norm2", channels)
        block |= _linear(weights, f"{old}.attn.qkv", three, channels)
        for part in ("weight", "bias"):  # products of repeated channels are that much larger
            block[f"{old}.attn.qkv.{part}"][: 2 * width] *= repeats**-0.25
        block |= _linear(weights, f"{old}.attn.proj", channels, by_head)
        block |= _linear(weights, f"{old}.mlp.lin1", hidden, channels)
        block |= _linear(weights, f"{old}.mlp.lin2", channels, hidden)
        for axis in ("h", "w"):
            table = weights[f"{old}.attn.rel_pos_{axis}"]
            size = len(getattr(encoder.blocks[depth].attn, f"rel_pos_{axis}"))
            longer = F.interpolate(table.T[None], size, mode="linear", align_corners=True)[0].T
            longer = longer[:, _repeat(head_width, to_head_width)]
            block[f"{old}.attn.rel_pos_{axis}"] = longer * repeats**-0.75
        tensors |= {key.replace(old, new): value for key, value in block.items()}
    for number in set(range(len(encoder.blocks))) - set(depths):
        for layer in ("attn.proj", "mlp.lin2"):
            key = f"{name}.blocks.{number}.{layer}.weight"
            tensors[key] = sam.state_dict()[key] * IDLE
    return tensors | _neck(weights, f"{name}.neck", channels, sam)


def _neck(weights: Weights, name: str, channels: torch.Tensor, sam: Sam) -> Weights:
    count = weights[f"{name}.1.weight"].shape[0]
    embedding = _embedding(count, sam.mask_decoder.transformer_dim)
    return (
        _linear(weights, f"{name}.0", embedding, channels)
        | _norm(weights, f"{name}.1", embedding)
        | _linear(weights, f"{name}.2", embedding, embedding)
        | _norm(weights, f"{name}.3", embedding)
    )


def _prompts(weights: Weights, embedding: torch.Tensor) -> Weights:
    name = "prompt_encoder"
    matrix = f"{name}.pe_layer.positional_encoding_gaussian_matrix"
    tensors = {
        key: value
        for key, value in weights.items()
        if key.startswith(f"{name}.mask_downscaling") and ".6." not in key
    }
    tensors[matrix] = weights[matrix][:, embedding[: len(embedding) // 2]]
    for key in [*(f"point_embeddings.{n}" for n in range(4)), "not_a_point_embed", "no_mask_embed"]:
        tensors[f"{name}.{key}.weight"] = weights[f"{name}.{key}.weight"][:, embedding]
    return tensors | _linear(weights, f"{name}.mask_downscaling.6", embedding, torch.arange(16))


def _decoder(small: LoadedCheckpoint, weights: Weights, sam: Sam) -> Weights:
    decoder, own = sam.mask_decoder, small.architecture
    wide, count = decoder.transformer_dim, own.embedding_channels
    embedding = _embedding(count, wide)
    name = "mask_decoder"
    tensors = {
        f"{name}.{key}.weight": weights[f"{name}.{key}.weight"][:, embedding]
        for key in ("iou_token", "mask_tokens")
    }

    def attention(key: str, inner: int, to_inner: int) -> Weights:
        heads, to_heads = own.decoder_heads, decoder.transformer.num_heads
        ratio = (to_inner // to_heads) / (inner // heads)
        by_head = _heads(heads, inner // heads, to_heads, to_inner // to_heads)
        parts = _linear(weights, f"{key}.v_proj", by_head, embedding)
        for part in ("q_proj", "k_proj"):
            parts |= _linear(weights, f"{key}.{part}", by_head, embedding, ratio**-0.25)
        return parts | _linear(weights, f"{key}.out_proj", embedding, by_head)

    transformer = f"{name}.transformer"
    hidden = _repeat(own.decoder_mlp, decoder.transformer.layers[0].mlp.lin1.out_features)
    for number in range(own.decoder_depth):
        layer = f"{transformer}.layers.{number}"
        tensors |= attention(f"{layer}.self_attn", count, wide)
        for key in ("cross_attn_token_to_image", "cross_attn_image_to_token"):
            tensors |= attention(f"{layer}.{key}", count // 2, wide // 2)
        for norm in range(1, 5):
            tensors |= _norm(weights, f"{layer}.norm{norm}", embedding)
        tensors |= _linear(weights, f"{layer}.mlp.lin1", hidden, embedding)
        tensors |= _linear(weights, f"{layer}.mlp.lin2", embedding, hidden)
    tensors |= attention(f"{transformer}.final_attn_token_to_image", count // 2, wide // 2)
    tensors |= _norm(weights, f"{transformer}.norm_final_attn", embedding)
    quarter, eighth = _repeat(count // 4, wide // 4), _repeat(count // 8, wide // 8)
    for key, read, out in (("0", embedding, quarter), ("3", quarter, eighth)):
        layer = f"{name}.output_upscaling.{key}"
        weight = weights[f"{layer}.weight"]  # (in, out, 2, 2)
        tensors[f"{layer}.weight"] = weight[read][:, out] * (len(weight) / len(read))
        tensors[f"{layer}.bias"] = weights[f"{layer}.bias"][out]
    tensors |= _norm(weights, f"{name}.output_upscaling.1", quarter)
    four, inner = torch.arange(4), _embedding(count, wide)
    for key, last in [
        *((f"output_hypernetworks_mlps.{n}", eighth) for n in range(4)),
        ("iou_prediction_head", four),
    ]:
        middle = inner if last is eighth else _repeat(own.iou_hidden, wide)
        # Repeated channels of a mask's product count twice, so each counts less.
        share = SHARPER * (count // 8) / (wide // 8) if last is eighth else 1.0
        layers = f"{name}.{key}.layers"
        tensors |= _linear(weights, f"{layers}.0", middle, embedding)
        tensors |= _linear(weights, f"{layers}.1", middle, middle)
        tensors |= _linear(weights, f"{layers}.2", last, middle, share)
    return tensors


def widened(
    model: str | SamArchitecture = "vit_b", seed: int = 0, noise: float = NOISE
) -> LoadedCheckpoint:
    """A network of a published shape that finds what the embedded checkpoint finds, about.

    Args:
        model: ``vit_b``, ``vit_l``, or a shape of one's own.
        seed: of what is not taken from the embedded checkpoint.
        noise: standard deviation of every weight's change, as a share of it.
    """
    ensure_torchvision_ops()
    from segment_anything import sam_model_registry

    path = CHECKPOINTS["vit_tiny"].embedded_path
    assert path is not None
    small = load_checkpoint(path)
    weights = small.sam.state_dict()
    torch.manual_seed(seed)
    sam = model.build() if isinstance(model, SamArchitecture) else sam_model_registry[model]()
    own = small.architecture.embedding_channels
    with torch.no_grad():
        tensors = (
            _encoder(small, weights, sam)
            | _prompts(weights, _embedding(own, sam.mask_decoder.transformer_dim))
            | _decoder(small, weights, sam)
        )
        tensors = {
            key: value * (1 + noise * torch.randn_like(value)) for key, value in tensors.items()
        }
        left = set(sam.state_dict()) - set(tensors)
        blocks = {key for key in left if ".blocks." in key}
        assert left == blocks, sorted(left - blocks)
        sam.load_state_dict(tensors, strict=False)
    assert math.isfinite(sum(float(value.sum()) for value in tensors.values()))
    return LoadedCheckpoint(
        sam=sam.eval(),
        name=f"widened {model if isinstance(model, str) else 'shape'}",
        sha256="",
        architecture=infer_architecture(sam.state_dict()),
        automatic=SETTINGS,
    )
