"""On a GPU the engine finds the masks that it finds on the CPU; the CPU twin is test_engine.py."""

from __future__ import annotations

import pytest
import torch

from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.sam.machine.devices import Precision
from serving.sam.masks import MaskRecord, decode_mask
from serving.sam.prompts import Prompt

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine"),
]

POINT = Prompt(points=((80.0, 95.0),), labels=(1,))
BOX = Prompt(box_xyxy=(170.0, 30.0, 280.0, 125.0))


def on_gpu(precision: Precision) -> Engine:
    path = CHECKPOINTS["vit_tiny"].embedded_path
    assert path is not None
    return Engine.load(path, device="cuda", precision=precision)


def overlap(first_record: MaskRecord, second_record: MaskRecord) -> float:
    first, second = (
        decode_mask(first_record["segmentation"]),
        decode_mask(second_record["segmentation"]),
    )
    return float((first & second).sum() / max((first | second).sum(), 1))


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.99), ("fp16", 0.97), ("bf16", 0.95)])
def test_engine_on_a_gpu_agrees_with_the_cpu(
    engine: Engine, scene: RgbImage, precision: Precision, least: float
) -> None:
    gpu = on_gpu(precision)
    on_the_cpu = engine.segment(engine.embed(scene), [POINT, BOX])
    on_the_gpu = gpu.segment(gpu.embed(scene), [POINT, BOX])
    for expected, actual in zip(on_the_cpu, on_the_gpu, strict=True):
        assert overlap(expected, actual) >= least
    masks = engine.generate(scene)
    matched = [max((overlap(m, o) for o in gpu.generate(scene)), default=0.0) for m in masks]
    assert sum(value >= least for value in matched) >= 0.98 * len(masks)


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.95), ("bf16", 0.9)])
def test_half_precision_of_a_network_of_vit_bs_size_agrees_with_float32(
    scene: RgbImage, precision: Precision, least: float
) -> None:
    """The decoder of vit_tiny computes in float32 in every precision, so that one says nothing."""
    from tests.widened import widened

    records: list[list[MaskRecord]] = []
    for each in ("fp32", precision):
        engine = Engine(widened("vit_b"), device="cuda", precision=each)
        records.append(engine.segment(engine.embed(scene), [POINT, BOX]))
    for exact, half in zip(*records, strict=True):
        assert overlap(exact, half) >= least
        assert half["predicted_iou"] == pytest.approx(exact["predicted_iou"], abs=0.01)
