"""Masks for many prompts on one image, decoded together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.batches import in_batches, prompts_at_once
from serving.sam.candidates.candidate_masks import CandidateMask, to_record
from serving.sam.candidates.full_size import full_size_masks
from serving.sam.candidates.upsampling import Upsampling
from serving.sam.embedding import Embedding
from serving.sam.errors import ParameterError
from serving.sam.machine.finite import check_finite
from serving.sam.machine.transfers import upload
from serving.sam.mask_decoder import PreparedImage
from serving.sam.masks import MaskRecord
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
    """Low-resolution masks of prompts that were decoded together, as many of each prompt.

    Attributes:
        numbers: (B,) the prompts.
        scores: (B, M) predicted IoU, on the CPU.
        logits: (B, M, h, w) float32.
    """

    numbers: list[int]
    scores: torch.Tensor
    logits: torch.Tensor


def is_ambiguous(prompt: Prompt) -> bool:
    """Whether a prompt may mean several things: a single point, without a box."""
    return len(prompt.points) == 1 and prompt.box_xyxy is None


def check_mask_inputs(prompts: int, mask_inputs: Sequence[MaskInput | None], side: int) -> None:
    """Refuse logits of earlier predictions that the network cannot take.

    Args:
        prompts: how many there are.
        mask_inputs: one for each, or none; or empty.
        side: of the logits, in their own pixels.

    Raises:
        ParameterError: another number of them, another shape, or no finite numbers.
    """
    if len(mask_inputs) not in (0, prompts):
        raise ParameterError(
            f"mask_inputs: expected one (or None) for each of the {prompts} prompts, or nothing at "
            f"all, got {len(mask_inputs)}"
        )
    for mask in mask_inputs:
        if mask is None:
            continue
        if mask.shape != (1, side, side):
            raise ParameterError(
                f"mask_input: expected shape (1, {side}, {side}), got {mask.shape}"
            )
        if not np.isfinite(mask).all():
            raise ParameterError("mask_input: expected finite numbers, got NaN or infinity")


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

    def best(alike: list[int], scores: torch.Tensor) -> torch.Tensor:
        if is_ambiguous(prompts[alike[0]]):
            return 1 + scores[:, 1:].argmax(1, keepdim=True)
        return torch.zeros(len(alike), 1, dtype=torch.int64)

    masks = full_size_masks(upsampling)
    for decoded in _decoded(network, embedding, prompts, (), best, upsampling.extent):
        values, offset = network.head.values(decoded.logits[:, 0]), network.head.distance(1)
        both = masks.measure_and_encode(values, threshold, offset)
        scores = decoded.scores[:, 0].tolist()
        for number, score, (measurement, segmentation) in zip(
            decoded.numbers, scores, both, strict=True
        ):
            record = to_record(
                CandidateMask(
                    segmentation=segmentation,
                    box_xyxy=measurement.box_xyxy,
                    score=score,
                    stability=measurement.stability,
                    point_xy=(0.0, 0.0),
                    crop_xyxy=(0, 0, width, height),
                )
            )
            prompt = prompts[number]
            record["point_coords"] = [list(point) for point in prompt.points]
            record["prompt"] = prompt.to_json()
            if prompt.category:
                record["category"] = prompt.category
            records[number] = record
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
    upsampling = _upsampling(embedding)
    side = embedding.features.shape[-1]
    wanted = torch.tensor([1, 2, 3] if multimask_output else [0])

    def choose(alike: list[int], _: torch.Tensor) -> torch.Tensor:
        return wanted.expand(len(alike), -1)

    masks = full_size_masks(upsampling)
    for decoded in _decoded(network, embedding, prompts, mask_inputs, choose, (side, side)):
        logits = decoded.logits.cpu()
        check_finite(logits, "masks")
        scores = decoded.scores.numpy()
        bitmaps = masks.draw(network.head.values(decoded.logits).unbind(), threshold)
        for number, drawn, score, low in zip(
            decoded.numbers, bitmaps, scores, logits.numpy(), strict=True
        ):
            yield number, Prediction(masks=drawn, scores=score, logits=low)


def _upsampling(embedding: Embedding) -> Upsampling:
    cells, frame = 4 * embedding.features.shape[-1], embedding.frame
    device = embedding.features.device
    return Upsampling.of(cells, *frame.first_enlargement(cells), frame.original_size_hw, device)


def _decoded(
    network: Network,
    embedding: Embedding,
    prompts: Sequence[Prompt],
    mask_inputs: Sequence[MaskInput | None],
    choose: Callable[[list[int], torch.Tensor], torch.Tensor],
    extent: tuple[int, int],
) -> Iterator[_Decoded]:
    """Decode prompts of a kind together, and those with a mask input one by one.

    Args:
        network: the loaded network on its device.
        embedding: of the image.
        prompts: in pixels of the image.
        mask_inputs: a mask for each, or none; or empty.
        choose: returns the masks to make (B, M), given prompts of a kind and their (B, 4) scores.
        extent: rows and columns of the embedding that its masks need.
    """
    shared = embedding.shared
    with_masks = {n: mask for n, mask in enumerate(mask_inputs) if mask is not None}
    plain = [number for number in range(len(prompts)) if number not in with_masks]
    most = prompts_at_once(network.decoder, shared, MOST_AT_ONCE)
    for kind in _alike(prompts, plain):

        def decode(part: slice, kind: list[int] = kind) -> _Decoded:
            return _decode(network, embedding, shared, prompts, kind[part], choose, extent)

        for _, batch in in_batches(len(kind), most, decode):
            yield batch
    for number, mask in with_masks.items():
        on_host = torch.as_tensor(mask, dtype=torch.float32)[None]
        mask_input = upload(on_host, embedding.features.device)
        dense = network.sam.prompt_encoder(points=None, boxes=None, masks=mask_input)[1]
        own_image = network.decoder.prepare(embedding.features, dense)
        yield _decode(network, embedding, own_image, prompts, [number], choose, extent)


def _decode(
    network: Network,
    embedding: Embedding,
    prepared: PreparedImage,
    prompts: Sequence[Prompt],
    group: list[int],
    choose: Callable[[list[int], torch.Tensor], torch.Tensor],
    extent: tuple[int, int],
) -> _Decoded:
    sparse = _tokens(network, embedding, [prompts[number] for number in group])
    decoded = network.decoder.decode(prepared, sparse)
    scores = decoded.scores.cpu()  # what a GPU makes next depends on them
    check_finite(scores, "scores")
    chosen = choose(group, scores)
    owners = torch.arange(len(group))[:, None].expand_as(chosen)
    selected = torch.stack([owners, chosen], dim=-1).flatten(0, 1)
    logits = network.decoder.upscale(decoded, selected, extent)
    return _Decoded(group, scores.gather(1, chosen), logits.unflatten(0, chosen.shape))


def _alike(prompts: Sequence[Prompt], numbers: list[int]) -> list[list[int]]:
    """Group the numbers of prompts by their count of points and whether they have a box."""
    kinds: dict[tuple[int, bool], list[int]] = {}
    for number in numbers:
        prompt = prompts[number]
        kinds.setdefault((len(prompt.points), prompt.box_xyxy is not None), []).append(number)
    return list(kinds.values())


def _tokens(network: Network, embedding: Embedding, prompts: list[Prompt]) -> torch.Tensor:
    """Tokens (B, P, C) of prompts of one kind, from places in float32, as the official code."""
    frame = embedding.frame
    points = labels = boxes = None
    if prompts[0].points:
        points = frame.place(np.array([prompt.points for prompt in prompts])).astype(np.float32)
        labels = np.array([prompt.labels for prompt in prompts])
    if prompts[0].box_xyxy is not None:
        corners = np.array([prompt.box_xyxy for prompt in prompts]).reshape(-1, 2, 2)
        boxes = frame.place(corners).astype(np.float32)
    return network.tokens.of_prompts(points, labels, boxes)
