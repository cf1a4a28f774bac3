"""One mask for each of many prompts on an image, decoded together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from serving.sam.decoder import Candidates
from serving.sam.found_masks import FoundMask, box_of, record_of
from serving.sam.generator import CPU_BATCH, Network
from serving.sam.masks import MaskRecord
from serving.sam.prompts import Prompt
from serving.sam.upsampling import Upsampling

GPU_BATCH = 64


def is_ambiguous(prompt: Prompt) -> bool:
    """Whether a prompt may mean several things: a single point, without a box."""
    return len(prompt.points) == 1 and prompt.box_xyxy is None


def segment_prompts(
    network: Network,
    features: torch.Tensor,
    input_size_hw: tuple[int, int],
    size_hw: tuple[int, int],
    prompts: Sequence[Prompt],
) -> list[MaskRecord]:
    """The best mask of each prompt, in order.

    A single point is ambiguous, so three candidates are asked for and the one that the model rates
    best is taken; points in plural or a box name one object and get one mask.

    Args:
        network: what computes.
        features: (1, C, G, G) embedding of the image.
        input_size_hw: the image's size in the network.
        size_hw: the image's size in pixels.
        prompts: in pixels of the image.
    """
    sam = network.sam
    shared = network.decoder.prepare(features)
    upsampling = Upsampling.of(
        4 * features.shape[-1], sam.image_encoder.img_size, input_size_hw, size_hw
    )
    extent = -(-upsampling.rows.cells // 4), -(-upsampling.columns.cells // 4)
    scale = np.array([input_size_hw[1] / size_hw[1], input_size_hw[0] / size_hw[0]])
    records: dict[int, MaskRecord] = {}
    for group in _alike(prompts, CPU_BATCH if features.device.type == "cpu" else GPU_BATCH):
        asked = [prompts[number] for number in group]
        sparse = _tokens(network, asked, scale, features.device)
        found = network.decoder.decode(shared, sparse)
        places = [_best(found, place, prompt) for place, prompt in enumerate(asked)]
        wanted = torch.tensor(list(enumerate(places)), device=features.device)
        logits = network.decoder.upscale(found, wanted, extent)
        regions = upsampling.regions(logits, sam.mask_threshold - 1)
        for place, number in enumerate(group):
            region = regions[place] or (0, 0, 1, 1)
            full = upsampling.region(logits[place], region)
            inner = int((full > sam.mask_threshold + 1).sum())
            outer = int((full > sam.mask_threshold - 1).sum())
            bitmap = (full > sam.mask_threshold).cpu().numpy()
            mask = FoundMask(
                region=region,
                bitmap=bitmap,
                box_xyxy=box_of(bitmap, region),
                score=float(found.scores[place, places[place]]),
                stability=inner / max(outer, 1),
                point_xy=(0.0, 0.0),
                crop_xyxy=(0, 0, size_hw[1], size_hw[0]),
            )
            record = record_of(mask, size_hw)
            record["point_coords"] = [list(point) for point in prompts[number].points]
            record["prompt"] = prompts[number].to_json()
            records[number] = record
    return [records[number] for number in range(len(prompts))]


def _alike(prompts: Sequence[Prompt], most: int) -> list[list[int]]:
    """Numbers of prompts that have as many points, and a box or none; ``most`` at a time."""
    kinds: dict[tuple[int, bool], list[int]] = {}
    for number, prompt in enumerate(prompts):
        kinds.setdefault((len(prompt.points), prompt.box_xyxy is not None), []).append(number)
    return [
        numbers[start : start + most]
        for numbers in kinds.values()
        for start in range(0, len(numbers), most)
    ]


def _tokens(
    network: Network, prompts: list[Prompt], scale: np.ndarray, device: torch.device
) -> torch.Tensor:
    points = boxes = None
    if prompts[0].points:
        coords = np.array([prompt.points for prompt in prompts]) * scale
        labels = [prompt.labels for prompt in prompts]
        points = (
            torch.as_tensor(coords, dtype=torch.float32, device=device),
            torch.tensor(labels, dtype=torch.int, device=device),
        )
    if prompts[0].box_xyxy is not None:
        corners = np.array([prompt.box_xyxy for prompt in prompts]).reshape(-1, 2, 2) * scale
        boxes = torch.as_tensor(corners.reshape(-1, 4), dtype=torch.float32, device=device)
    sparse, _ = network.sam.prompt_encoder(points=points, boxes=boxes, masks=None)
    return torch.as_tensor(sparse)


def _best(found: Candidates, place: int, prompt: Prompt) -> int:
    """Which of the four masks of a prompt is its answer."""
    return 1 + int(found.scores[place, 1:].argmax()) if is_ambiguous(prompt) else 0
