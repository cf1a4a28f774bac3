"""Both decoders give what the official one gives, prompt by prompt and mask by mask."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from serving.sam.batched_decoder import BatchedDecoder
from serving.sam.engine import Engine
from serving.sam.low_rank_decoder import LowRankDecoder
from serving.sam.mask_decoder import MaskDecoder
from serving.sam.network import build_network
from tests.widened import widened

SCORES = 1e-6  # largest difference
LOGITS = 1e-3  # the same, of logits of -60 to 60
KINDS = ["point", "box", "both", "many points"]
Decoder = type[BatchedDecoder] | type[LowRankDecoder]


def prompted(sam: Any, kind: str) -> torch.Tensor:
    """Prompt tokens of three prompts of one kind."""
    points = torch.tensor([[[100.0, 80.0]], [[30.0, 40.0]], [[200.0, 100.0]]])
    labels = torch.ones(3, 1, dtype=torch.int)
    boxes = torch.tensor([[10.0, 20.0, 90.0, 60.0], [0, 0, 255, 255], [100, 100, 140, 130]])
    several = (points.repeat(1, 12, 1) * torch.linspace(0.5, 1, 12)[:, None], labels.repeat(1, 12))
    kinds: dict[str, dict[str, Any]] = {
        "point": {"points": (points, labels), "boxes": None},
        "box": {"points": None, "boxes": boxes},
        "both": {"points": (points, labels), "boxes": boxes},
        "many points": {"points": several, "boxes": None},
    }
    sparse, _ = sam.prompt_encoder(**kinds[kind], masks=None)
    return torch.as_tensor(sparse)


def official(
    sam: Any, features: torch.Tensor, sparse: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks (B, 4, 4G, 4G) and scores (B, 4) of the official decoder."""
    dense = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    dense = dense.expand(len(sparse), *features.shape[1:])
    masks, scores = sam.mask_decoder.predict_masks(
        features, sam.prompt_encoder.get_dense_pe(), sparse, dense
    )
    return masks, scores


def assert_official(
    decoder: MaskDecoder[Any, Any], sam: Any, features: torch.Tensor, kind: str
) -> None:
    """Scores and masks, whole and cut, are the official ones."""
    side = features.shape[-1]
    sparse = prompted(sam, kind)
    masks, scores = official(sam, features, sparse)
    decoded = decoder.decode(decoder.prepare(features), sparse)
    selected = torch.tensor([[0, 0], [0, 3], [2, 1], [2, 2]])
    logits = decoder.upscale(decoded, selected, (side, side))
    corner = decoder.upscale(decoded, selected, (20, 9))
    torch.testing.assert_close(decoded.scores, scores, atol=SCORES, rtol=0)
    expected = masks[selected[:, 0], selected[:, 1]]
    torch.testing.assert_close(logits, expected, atol=LOGITS, rtol=0)
    torch.testing.assert_close(corner, expected[:, :80, :36], atol=LOGITS, rtol=0)


@pytest.mark.parametrize("decoder", [LowRankDecoder, BatchedDecoder])
@pytest.mark.parametrize("kind", KINDS)
def test_decoder_equals_the_official_one(engine: Engine, kind: str, decoder: Decoder) -> None:
    sam = engine.checkpoint.sam
    torch.manual_seed(0)
    with torch.inference_mode():
        assert_official(decoder(sam), sam, torch.randn(1, 128, 32, 32), kind)


@pytest.mark.parametrize("norms", [0.0, 0.5], ids=["as trained", "norms changed"])
def test_low_rank_is_exact_in_the_shape_of_the_published_networks(norms: float) -> None:
    """Gains and biases of the image tokens' norms are where the algebra is easy to get wrong."""
    sam = widened("vit_b").sam
    torch.manual_seed(0)
    with torch.inference_mode():
        for layer in sam.mask_decoder.transformer.layers:
            layer.norm4.weight.mul_(1 + norms * torch.randn(256))
            layer.norm4.bias.add_(norms * torch.randn(256))
        assert_official(LowRankDecoder(sam), sam, torch.randn(1, 256, 64, 64), "point")


def test_one_prompt_is_as_exact_as_many(engine: Engine) -> None:
    """A product of one row is another kernel, which may add up a whole image in one go."""
    sam = engine.checkpoint.sam
    torch.manual_seed(0)
    with torch.inference_mode():
        features = torch.randn(1, 128, 32, 32)
        decoder = LowRankDecoder(sam)
        image, sparse = decoder.prepare(features), prompted(sam, "point")
        together = decoder.decode(image, sparse).scores
        alone = torch.cat([decoder.decode(image, prompt[None]).scores for prompt in sparse])
        expected = official(sam, features, sparse)[1]
    torch.testing.assert_close(together, expected, atol=SCORES, rtol=0)
    torch.testing.assert_close(alone, expected, atol=SCORES, rtol=0)


def test_mask_prompt_has_projections_of_its_own(engine: Engine) -> None:
    sam = engine.checkpoint.sam
    torch.manual_seed(0)
    with torch.inference_mode():
        features, dense = torch.randn(1, 128, 32, 32), torch.randn(1, 128, 32, 32)
        sparse = prompted(sam, "point")[:1]
        masks, scores = sam.mask_decoder.predict_masks(
            features, sam.prompt_encoder.get_dense_pe(), sparse, dense
        )
        decoder = LowRankDecoder(sam)
        decoded = decoder.decode(decoder.prepare(features, dense), sparse)
        logits = decoder.upscale(decoded, torch.tensor([[0, 1], [0, 2], [0, 3]]), (32, 32))
    torch.testing.assert_close(decoded.scores, scores, atol=SCORES, rtol=0)
    torch.testing.assert_close(logits, masks[0, 1:], atol=LOGITS, rtol=0)


def test_what_an_image_shares_is_counted_whole(engine: Engine) -> None:
    """The server's cache of embeddings is bounded by what they say they take."""
    decoder = LowRankDecoder(engine.checkpoint.sam)
    with torch.inference_mode():
        image = decoder.prepare(torch.zeros(1, 128, 32, 32))
    per_channel = 4 * 32 * 32
    # Eleven projections of half the channels, the upscaling's product of all, three squares.
    assert image.size_bytes == per_channel * (11 * 64 + 128 + 3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_cpu_decodes_in_float32_in_every_precision(engine: Engine, precision: Any) -> None:
    network = build_network(engine.checkpoint, torch.device("cpu"), precision)
    assert isinstance(network.decoder, LowRankDecoder)
    with torch.inference_mode():
        image = network.decoder.prepare(torch.zeros(1, 128, 32, 32))
    assert image.first.dtype == torch.float32


def test_batched_decoder_in_half_precision_stays_near(engine: Engine) -> None:
    sam = engine.checkpoint.sam
    torch.manual_seed(0)
    with torch.inference_mode():
        features = torch.randn(1, 128, 32, 32)
        sparse = prompted(sam, "point")
        selected = torch.tensor([[0, 1], [1, 2]])
        exact, half = BatchedDecoder(sam), BatchedDecoder(sam, torch.bfloat16)
        expected = exact.decode(exact.prepare(features), sparse)
        decoded = half.decode(half.prepare(features), sparse)
        signs = exact.upscale(expected, selected, (32, 32)) > 0
        same = (half.upscale(decoded, selected, (32, 32)) > 0) == signs
    torch.testing.assert_close(decoded.scores, expected.scores, atol=0.02, rtol=0.02)
    assert same.float().mean() > 0.97
