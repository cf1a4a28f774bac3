"""What the engine does on a GPU, on one that is pretended: right masks, one device, few waits.

Time and memory it cannot show (``tests/stand_ins/README.md``); ``test_engine_gpu.py`` runs where
there is a GPU.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch

from serving.sam.architectures import SamArchitecture
from serving.sam.checkpoints import LoadedCheckpoint
from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.machine.devices import Precision
from serving.sam.prompts import Prompt
from tests.agreement import Record, compare
from tests.benchmarks.parity import official, picture
from tests.conftest import draw_scene
from tests.serving.sam.official_masks import WIDENED, read
from tests.stand_ins.gpu_tensor import OnGpu
from tests.stand_ins.pretend_gpu import PretendGpu, pretend
from tests.widened import SETTINGS, widened

# vit_b's decoder behind a small encoder, of half as many positions a side.
SHAPE = SamArchitecture(
    image_size=512, encoder_width=128, encoder_depth=6, encoder_heads=4, global_blocks=(2, 5)
)
BLOCKS_OF_VIT_B = dataclasses.replace(SHAPE, encoder_depth=12, global_blocks=(2, 5, 8, 11))
# For 1024 points; before masks were made together it was 6,924 launches and 1,436 waits.
KERNELS_OF_AN_IMAGE, WAITS_OF_AN_IMAGE = 1500, 20
KERNELS_OF_A_BATCH = 260
AUTOMATIC = dataclasses.replace(SETTINGS, points_per_side=4)
# Of the masks, least IoU that pairs and share of them that pairs; of scores, the most.
LEAST: dict[Precision, tuple[float, float, float]] = {
    "fp32": (0.99, 1.0, 1e-5),
    "fp16": (0.97, 0.95, 3e-3),
    "bf16": (0.95, 0.95, 2e-2),
}
PROMPTS = [
    Prompt(points=((80.0, 95.0),), labels=(1,)),
    Prompt(points=((220.0, 80.0),), labels=(1,)),
    Prompt(points=((80.0, 95.0), (220.0, 80.0)), labels=(1, 0)),
    Prompt(box_xyxy=(170.0, 30.0, 280.0, 125.0)),
    Prompt(points=((220.0, 80.0),), labels=(1,), box_xyxy=(170.0, 30.0, 280.0, 125.0)),
]


@pytest.fixture
def half_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a decoder of this size would compute in float32 in every precision."""
    monkeypatch.setattr("serving.sam.network.SMALL_EMBEDDING_VALUES", 0)


def images() -> dict[str, RgbImage]:
    return {"scene": draw_scene(), "coins": picture("coins", 384, 303)}


@functools.cache
def network(shape: SamArchitecture = SHAPE) -> LoadedCheckpoint:
    return widened(shape)


@pytest.fixture(scope="module")
def official_masks() -> dict[str, list[Record]]:
    """What the official generator finds, in float32 on the CPU."""
    return {name: official(network(), image, AUTOMATIC) for name, image in images().items()}


@pytest.fixture(scope="module")
def official_predictions() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Masks, scores and logits of the official predictor for the prompts, then with a mask."""
    from segment_anything import SamPredictor

    predictor = SamPredictor(network().sam)
    predictor.set_image(draw_scene())
    predictions = [
        predictor.predict(
            np.array(prompt.points) if prompt.points else None,
            np.array(prompt.labels) if prompt.points else None,
            np.array(prompt.box_xyxy) if prompt.box_xyxy else None,
            multimask_output=True,
        )
        for prompt in PROMPTS
    ]
    point = np.array(PROMPTS[0].points), np.array([1])
    with_mask = predictor.predict(*point, mask_input=predictions[0][2][:1], multimask_output=True)
    return [*predictions, with_mask]


def on_gpu(precision: Precision, shape: SamArchitecture = SHAPE) -> Engine:
    own = dataclasses.replace(network(shape), sam=copy.deepcopy(network(shape).sam))
    return Engine(own, device="cuda:0", precision=precision)


@pytest.mark.parametrize("precision", LEAST)
@pytest.mark.usefixtures("half_decoder")
def test_masks_of_a_gpu_are_the_official_ones(
    official_masks: dict[str, list[Record]], gpu: PretendGpu, precision: Precision
) -> None:
    engine = on_gpu(precision)
    iou, share, score = LEAST[precision]
    agreements = [
        compare(engine.generate(image, AUTOMATIC), official_masks[name], iou)
        for name, image in images().items()
    ]
    assert sum(each.reference for each in agreements) >= 25
    most = sum(max(each.reference, each.found) for each in agreements)
    assert sum(each.matched for each in agreements) >= share * most, agreements
    assert max(each.score_difference for each in agreements) <= score, agreements
    assert gpu.kernels["attention"] >= 2 * SHAPE.encoder_depth


@pytest.mark.slow
@pytest.mark.parametrize("precision", LEAST)
def test_masks_of_a_gpu_in_the_shape_of_vit_b_are_the_official_ones(
    monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    iou, share, score = LEAST[precision]
    checkpoint = widened(WIDENED.model)
    expected, settings = read(WIDENED, checkpoint), WIDENED.settings(checkpoint)
    for _ in pretend(monkeypatch):
        engine = Engine(checkpoint, device="cuda:0", precision=precision)
        agreement = compare(engine.generate(WIDENED.draw(), settings), expected, iou)
    assert agreement.reference >= 8
    assert agreement.matched >= share * max(agreement.reference, agreement.found), agreement
    assert agreement.score_difference <= score, agreement


@pytest.mark.parametrize("precision", LEAST)
@pytest.mark.usefixtures("half_decoder", "gpu")
def test_predictions_of_a_gpu_are_the_official_ones(
    official_predictions: list[tuple[np.ndarray, np.ndarray, np.ndarray]], precision: Precision
) -> None:
    """Points, boxes, both, and the logits of an earlier prediction as a mask."""
    engine = on_gpu(precision)
    iou, _, score = LEAST[precision]
    expected = official_predictions
    embedding = engine.embed(draw_scene())
    found = dict(engine.predictions(embedding, PROMPTS, multimask_output=True))
    again = engine.predict(
        embedding, PROMPTS[0], multimask_output=True, mask_input=expected[0][2][:1]
    )
    for actual, (masks, scores, logits) in zip(
        [*(found[n] for n in range(len(PROMPTS))), again], expected, strict=True
    ):
        np.testing.assert_allclose(actual.scores, scores, atol=score)
        assert actual.logits.shape == logits.shape
        for mask, wanted in zip(actual.masks, masks, strict=True):
            assert (mask & wanted).sum() >= iou * (mask | wanted).sum()


@pytest.mark.usefixtures("half_decoder")
def test_an_automatic_image_keeps_its_budget_of_launches_and_waits(
    monkeypatch: pytest.MonkeyPatch, gpu: PretendGpu
) -> None:
    """Four batches, as 1024 points make: launches and waits depend on batches, not on points."""
    monkeypatch.setattr("serving.sam.batches.GPU_BATCH", 16)
    engine = on_gpu("fp16", BLOCKS_OF_VIT_B)
    settings = dataclasses.replace(SETTINGS, points_per_side=8)
    image = draw_scene()
    engine.generate(image, settings)  # what is kept for images of this size
    gpu.reset()
    assert len(engine.generate(image, settings)) >= 3
    batches, kernels, waits = 4, gpu.kernels.total(), gpu.waits.total()
    assert kernels <= KERNELS_OF_AN_IMAGE, gpu.kernels.most_common()
    assert waits <= WAITS_OF_AN_IMAGE, gpu.waits
    assert gpu.up_bytes <= 3 * 512 * 512 + 64 * 2 * 24 + 10_000  # pixels, places and kinds, numbers
    assert gpu.down_bytes <= 100_000  # scores, measurements, runs; no bitmaps and no logits
    monkeypatch.setattr("serving.sam.batches.GPU_BATCH", 64)
    gpu.reset()
    engine.generate(image, settings)
    assert waits - gpu.waits.total() == (batches - 1) * 2  # the scores and the measurements
    assert kernels - gpu.kernels.total() <= (batches - 1) * KERNELS_OF_A_BATCH


@pytest.mark.usefixtures("half_decoder")
def test_prompts_keep_their_budget_of_launches_and_waits(gpu: PretendGpu) -> None:
    engine = on_gpu("fp16")
    image = draw_scene()
    embedding = engine.embed(image)
    points = [Prompt(points=((20.0 * n + 10, 80.0),), labels=(1,)) for n in range(12)]
    counts = []
    for few in (points[:1], points):
        engine.segment(embedding, few)
        gpu.reset()
        engine.segment(embedding, few)
        assert gpu.kernels.total() <= KERNELS_OF_A_BATCH + 20
        assert gpu.waits.total() <= 4
        counts.append(gpu.waits.total())
        gpu.reset()
        list(engine.predictions(embedding, few, multimask_output=True))
        assert gpu.kernels.total() <= KERNELS_OF_A_BATCH
        assert gpu.waits.total() <= 3  # scores, logits, bitmaps
    assert counts[0] == counts[1]


@pytest.mark.usefixtures("gpu")
def test_the_pretended_gpu_is_as_strict_as_cuda() -> None:
    values = torch.ones(3, 4, device="cuda:0")
    assert isinstance(values, OnGpu)
    assert values.device == torch.device("cuda", 0)
    mixtures: list[Callable[[], torch.Tensor]] = [
        lambda: values + torch.ones(4),
        lambda: torch.cat([values, torch.ones(3, 4)]),
        lambda: values @ torch.ones(4, 2),
        lambda: torch.nn.functional.layer_norm(values, (4,), torch.ones(4)),
        lambda: torch.where(torch.ones(3, 4, dtype=torch.bool), values, 0.0),
    ]
    for mixed in mixtures:
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    with pytest.raises(RuntimeError, match="numpy"):
        np.asarray(values)
    with pytest.raises(RuntimeError, match="multiplies no matrices"):
        values.long() @ values.long().T
    torch.testing.assert_close((values * torch.tensor(2.0)).cpu(), torch.full((3, 4), 2.0))


def test_the_pretended_gpu_counts_what_the_host_waits_for(gpu: PretendGpu) -> None:
    pinned = torch.arange(6.0).pin_memory()
    values = pinned.to("cuda:0", non_blocking=True)
    assert not gpu.waits
    pageable = torch.arange(6).to("cuda:0", non_blocking=True)
    assert gpu.waits == {"up": 1}
    assert gpu.up_bytes == 6 * 4 + 6 * 8
    gpu.reset()
    product = values[pageable] * 2 + values
    assert gpu.kernels == {"index": 1, "mul": 1, "add": 1}
    assert not gpu.waits
    assert product.tolist() == [0, 3, 6, 9, 12, 15]
    assert gpu.waits == {"down": 1}
    gpu.reset()
    values[values > 2] = 0.0
    assert not gpu.waits  # one value is filled in, whatever the mask
    for waiting in (
        lambda: values[values > 1],
        lambda: values[torch.tensor([1])],
        lambda: values.nonzero(),
        lambda: int(values.sum()),
        lambda: torch.unique(values),
        lambda: values.cpu(),
        lambda: bool(values[0] > 1),
    ):
        gpu.reset()
        waiting()
        assert gpu.waits.total() == 1


def test_pinned_memory_that_changes_on_its_way_is_found(gpu: PretendGpu) -> None:
    pinned = torch.zeros(4).pin_memory()
    values = pinned.to("cuda:0", non_blocking=True)
    pinned += 1
    with pytest.raises(RuntimeError, match="while it was being copied"):
        values.cpu()
