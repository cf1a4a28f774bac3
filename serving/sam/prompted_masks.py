"""Masks for many prompts on one image, decoded together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.batches import in_batches, prompts_at_once
from serving.sam.candidates.candidate_masks import CandidateMask, draw, measure, to_record
from serving.sam.candidates.upsampling import Upsampling
from serving.sam.embedding import Embedding
from serving.sam.machine.finite import check_finite
from serving.sam.mask_decoder import PreparedImage
from serving.sam.masks import MaskRecord, encode_mask
from serving.sam.network import Network
from serving.sam.prompts import Prompt

MOST_AT_ONCE = 64
MaskInput = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The masks of one prompt.

    Attributes:
        masks: (K, H, W) bool in the image's own pixels; K is 3 for several masks, else 1.
        scores: (K,) float32, the predicted IoU of each.
        logits: (K, 4G, 4G) float32 low-resolution logits; one of them, with its leading axis, is
            a ``mask_input`` for the next prompt on the same image.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    logits: NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """Low-resolution masks of one prompt: its number, (K,) scores and (K, h, w) logits."""

    number: int
    scores: torch.Tensor
    logits: torch.Tensor


def is_ambiguous(prompt: Prompt) -> bool:
    """Whether a prompt may mean several things: a single point, without a box."""
    return len(prompt.points) == 1 and prompt.box_xyxy is None


def segment_prompts(
    network: Network, embedding: Embedding, prompts: Sequence[Prompt]
) -> list[MaskRecord]:
    """The best mask of each prompt, in order.

    A single point is ambiguous, so the network makes three candidates and the one that it rates
    best stays; several points or a box name one object and get one mask.

    Args:
        network: the loaded network on its device.
        embedding: of the image.
        prompts: in pixels of the image.
    """
    threshold = network.sam.mask_threshold
    height, width = embedding.original_size_hw
    upsampling = _upsampling(embedding)
    records: dict[int, MaskRecord] = {}

    def best(number: int, scores: torch.Tensor) -> list[int]:
        return [1 + int(scores[1:].argmax()) if is_ambiguous(prompts[number]) else 0]

    for decoded in _decoded(network, embedding, prompts, (), best, upsampling.extent):
        values, offset = network.head.values(decoded.logits), network.head.distance(1)
        (region,) = upsampling.regions(values, threshold - offset)
        canvas = np.zeros((width, height), np.uint8)
        measurement = measure(upsampling, values[0], region, threshold, offset, canvas)
        record = to_record(
            CandidateMask(
                segmentation=encode_mask(canvas.T),
                box_xyxy=measurement.box_xyxy,
                score=float(decoded.scores[0]),
                stability=measurement.stability,
                point_xy=(0.0, 0.0),
                crop_xyxy=(0, 0, width, height),
            )
        )
        prompt = prompts[decoded.number]
        record["point_coords"] = [list(point) for point in prompt.points]
        record["prompt"] = prompt.to_json()
        if prompt.category:
            record["category"] = prompt.category
        records[decoded.number] = record
    return [records[number] for number in range(len(prompts))]


def predict_prompts(
    network: Network,
    embedding: Embedding,
    prompts: Sequence[Prompt],
    mask_inputs: Sequence[MaskInput | None],
    *,
    multimask_output: bool,
) -> Iterator[tuple[int, Prediction]]:
    """Yield what ``SamPredictor.predict`` returns for each prompt, with the prompt's number.

    Args:
        network: the loaded network on its device.
        embedding: of the image.
        prompts: in pixels of the image.
        mask_inputs: for each prompt (1, 4G, 4G) logits or none; or empty.
        multimask_output: three masks each, or one.
    """
    threshold = network.sam.mask_threshold
    height, width = embedding.original_size_hw
    upsampling = _upsampling(embedding)
    side = embedding.features.shape[-1]
    selected = [1, 2, 3] if multimask_output else [0]
    for decoded in _decoded(
        network, embedding, prompts, mask_inputs, lambda _number, _scores: selected, (side, side)
    ):
        canvas = np.zeros((len(selected), width, height), np.uint8)
        values = network.head.values(decoded.logits)
        regions = upsampling.regions(values, threshold)
        for value, region, drawn in zip(values, regions, canvas, strict=True):
            draw(upsampling, value, region, threshold, drawn)
        yield (
            decoded.number,
            Prediction(
                masks=canvas.view(np.bool_).transpose(0, 2, 1),
                scores=decoded.scores.cpu().numpy(),
                logits=decoded.logits.cpu().numpy(),
            ),
        )


def _upsampling(embedding: Embedding) -> Upsampling:
    cells, frame = 4 * embedding.features.shape[-1], embedding.frame
    device = embedding.features.device
    return Upsampling.of(cells, *frame.first_enlargement(cells), frame.original_size_hw, device)


def _decoded(
    network: Network,
    embedding: Embedding,
    prompts: Sequence[Prompt],
    mask_inputs: Sequence[MaskInput | None],
    choose: Callable[[int, torch.Tensor], list[int]],
    extent: tuple[int, int],
) -> Iterator[_Decoded]:
    """Decode prompts of a kind together, and those with a mask input one by one.

    Args:
        network: the loaded network on its device.
        embedding: of the image.
        prompts: in pixels of the image.
        mask_inputs: a mask for each, or none; or empty.
        choose: returns the masks to make, given a prompt's number and its (4,) scores.
        extent: rows and columns of the embedding that its masks need.
    """
    shared = embedding.shared
    with_masks = {n: mask for n, mask in enumerate(mask_inputs) if mask is not None}
    plain = [number for number in range(len(prompts)) if number not in with_masks]
    most = prompts_at_once(network.decoder, shared, MOST_AT_ONCE)
    for kind in _alike(prompts, plain):

        def decode(part: slice, kind: list[int] = kind) -> list[_Decoded]:
            return _decode(network, embedding, shared, prompts, kind[part], choose, extent)

        for _, batch in in_batches(len(kind), most, decode):
            yield from batch
    for number, mask in with_masks.items():
        mask_input = torch.as_tensor(mask, dtype=torch.float32, device=embedding.features.device)[
            None
        ]
        dense = network.sam.prompt_encoder(points=None, boxes=None, masks=mask_input)[1]
        own_image = network.decoder.prepare(embedding.features, dense)
        yield from _decode(network, embedding, own_image, prompts, [number], choose, extent)


def _decode(
    network: Network,
    embedding: Embedding,
    prepared: PreparedImage,
    prompts: Sequence[Prompt],
    group: list[int],
    choose: Callable[[int, torch.Tensor], list[int]],
    extent: tuple[int, int],
) -> list[_Decoded]:
    sparse = _tokens(network, embedding, [prompts[number] for number in group])
    decoded = network.decoder.decode(prepared, sparse)
    scores = decoded.scores.cpu()
    check_finite(scores, "scores")
    chosen = [choose(number, scores[index]) for index, number in enumerate(group)]
    selected = [(index, mask) for index, masks in enumerate(chosen) for mask in masks]
    pairs = torch.tensor(selected, device=decoded.scores.device)
    logits = network.decoder.upscale(decoded, pairs, extent)
    check_finite(logits, "masks")
    of_each = logits.split([len(masks) for masks in chosen])
    return [
        _Decoded(number, scores[index, masks], of_each[index])
        for index, (number, masks) in enumerate(zip(group, chosen, strict=True))
    ]


def _alike(prompts: Sequence[Prompt], numbers: list[int]) -> list[list[int]]:
    """Group the numbers of prompts by their count of points and whether they have a box."""
    kinds: dict[tuple[int, bool], list[int]] = {}
    for number in numbers:
        prompt = prompts[number]
        kinds.setdefault((len(prompt.points), prompt.box_xyxy is not None), []).append(number)
    return list(kinds.values())


def _tokens(network: Network, embedding: Embedding, prompts: list[Prompt]) -> torch.Tensor:
    """Tokens (B, P, C) of prompts of one kind, from the official prompt encoder."""
    frame, device = embedding.frame, embedding.features.device
    points = boxes = None
    if prompts[0].points:
        coords = frame.place(np.array([prompt.points for prompt in prompts]))
        labels = [prompt.labels for prompt in prompts]
        points = (
            torch.as_tensor(coords, dtype=torch.float32, device=device),
            torch.tensor(labels, dtype=torch.int, device=device),
        )
    if prompts[0].box_xyxy is not None:
        corners = np.array([prompt.box_xyxy for prompt in prompts]).reshape(-1, 2, 2)
        boxes = torch.as_tensor(
            frame.place(corners).reshape(-1, 4), dtype=torch.float32, device=device
        )
    sparse, _ = network.sam.prompt_encoder(points=points, boxes=boxes, masks=None)
    return torch.as_tensor(sparse)
