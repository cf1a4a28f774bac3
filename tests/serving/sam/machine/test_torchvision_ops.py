"""The stand-in for torchvision's missing operator gives the same boxes as a plain NMS."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.sam.machine.torchvision_ops import ensure_torchvision_ops, nms


def plain_nms(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], threshold: float
) -> list[int]:
    """Greedy non-maximum suppression, spelled out."""
    kept: list[int] = []
    for candidate in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        x0, y0, x1, y1 = boxes[candidate]
        for other in kept:
            u0, v0, u1, v1 = boxes[other]
            wide, high = min(x1, u1) - max(x0, u0), min(y1, v1) - max(y0, v0)
            both = max(wide, 0) * max(high, 0)
            union = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - both
            if union and both / union > threshold:
                break
        else:
            kept.append(candidate)
    return kept


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 40), st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 0.7, 1.0]))
def test_nms_equals_a_plain_nms(count: int, seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 20, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(1, 15, (count, 2))], 1).astype(float)
    scores = rng.integers(0, 6, count).astype(float)  # ties on purpose
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    assert kept.dtype == torch.int64
    assert kept.tolist() == plain_nms(boxes, scores, threshold)


def test_torchvision_batched_nms_works_after_the_repair() -> None:
    ensure_torchvision_ops()
    from torchvision.ops import batched_nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [1, 1, 10, 10]])
    scores = torch.tensor([0.5, 0.9, 0.8])
    assert batched_nms(boxes, scores, torch.zeros(3), 0.5).tolist() == [1]
    assert batched_nms(boxes, scores, torch.tensor([0, 0, 1]), 0.5).tolist() == [1, 2]


def test_ensure_torchvision_ops_asked_again_changes_nothing() -> None:
    assert ensure_torchvision_ops() == ensure_torchvision_ops()


@pytest.mark.parametrize("first", ["serving.sam.engine", "serving.sam.checkpoints"])
def test_segment_anything_imports_in_a_fresh_process(first: str) -> None:
    """Whichever of our modules comes first, the official package loads afterwards."""
    code = (
        f"import {first}; from serving.sam.machine.torchvision_ops import ensure_torchvision_ops; "
        "ensure_torchvision_ops(); import segment_anything; print('loaded')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "loaded"
