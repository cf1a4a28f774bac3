"""Large images in little memory, batches that a GPU's memory does not hold, images too narrow."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from serving.sam.batches import in_batches, with_memory_freed
from serving.sam.engine import Engine
from serving.sam.errors import ImageError, ParameterError
from serving.sam.images import RgbImage, decode_image
from serving.sam.layers.shared_projections import SharedProjections
from serving.sam.low_rank_decoder import LowRankDecoder, LowRankPrompts
from serving.sam.prompts import Prompt

LARGE = """
import io, json, resource
import numpy as np
from PIL import Image
from serving.sam.machine.allocator import keep_freed_memory
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.sam.engine import Engine
from tests.conftest import draw_scene

keep_freed_memory()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
engine = Engine.load(CHECKPOINTS["vit_tiny"].embedded_path, device="cpu")
settings = AutomaticSettings(points_per_side=4, pred_iou_thresh=0.3, stability_score_thresh=0.5)
engine.generate(draw_scene(512, 512), settings)
image = draw_scene(8192, 8192)
before = peak()
records = engine.generate(image, settings)
print(json.dumps([before, peak(), len(records), max(r["area"] for r in records)]))
"""


def test_an_image_of_8192_pixels_a_side_takes_little_more_memory() -> None:
    """The official generator would need 13 GB for the masks of 16 points alone."""
    import json

    done = subprocess.run(
        [sys.executable, "-c", LARGE], capture_output=True, text=True, check=True, timeout=300
    )
    before, after, masks, area = json.loads(done.stdout)
    assert masks >= 3
    assert area > 5_000_000  # an object of this scene, in its own pixels
    assert after - before < 0.8  # GB: the image's scaled copies and one mask


def test_an_image_of_400_megapixels_is_refused_before_it_is_decoded() -> None:
    import io
    import zlib

    from PIL import Image

    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    header = data.index(b"IHDR")
    data[header + 4 : header + 12] = (20000).to_bytes(4, "big") * 2
    data[header + 17 : header + 21] = zlib.crc32(bytes(data[header : header + 17])).to_bytes(
        4, "big"
    )
    with pytest.raises(ImageError, match="pixels"):
        decode_image(bytes(data), "giant.png")


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A decoder that is out of memory beyond three prompts; yields the size of each batch."""
    decode, sizes = LowRankDecoder.decode, []

    def full(
        decoder: LowRankDecoder, image: SharedProjections, sparse: torch.Tensor
    ) -> LowRankPrompts:
        sizes.append(len(sparse))
        if len(sparse) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(decoder, image, sparse)

    monkeypatch.setattr(LowRankDecoder, "decode", full)
    return sizes


def test_a_batch_of_points_that_does_not_fit_is_halved_and_nothing_is_lost(
    engine: Engine, scene: RgbImage, small_memory: list[int]
) -> None:
    values = dataclasses.replace(engine.checkpoint.automatic, points_per_side=6)
    records = engine.generate(scene, values)
    assert small_memory == [8, 4, *[2] * 18]
    small_memory.clear()
    few = dataclasses.replace(values, points_per_batch=3)
    expected = engine.generate(scene, few)
    assert small_memory == [3] * 12
    assert [m["segmentation"] for m in records] == [m["segmentation"] for m in expected]
    assert len(records) >= 3


def test_a_batch_of_prompts_that_does_not_fit_is_halved_and_nothing_is_lost(
    engine: Engine, scene: RgbImage, small_memory: list[int]
) -> None:
    embedding = engine.embed(scene)
    prompts = [Prompt(points=((30.0 * n + 10, 90.0),), labels=(1,)) for n in range(9)]
    records = engine.segment(embedding, prompts)
    assert small_memory == [9, 4, 2, 2, 2, 2, 1]
    for prompt, record in zip(prompts, records, strict=True):
        (alone,) = engine.segment(embedding, [prompt])
        assert record["segmentation"] == alone["segmentation"]


def test_masks_beyond_what_is_held_come_out_the_same(
    engine: Engine, scene: RgbImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generator holds low-resolution masks up to a limit; beyond, it encodes each at once."""
    values = dataclasses.replace(
        engine.checkpoint.automatic, points_per_side=6, crop_n_layers=1, box_nms_thresh=0.9
    )
    expected = engine.generate(scene, values)
    assert len(expected) > 4
    monkeypatch.setattr("serving.sam.generator.LOGITS_BYTES", 100_000)  # two masks
    assert engine.generate(scene, values) == expected


def test_a_batch_that_did_not_fit_is_freed_before_a_smaller_one_is_tried() -> None:
    """A traceback keeps a failed batch's tensors alive for as long as it is being handled."""

    class Memory:
        """Something that a batch allocates."""

    allocated: list[weakref.ref[Memory]] = []

    def work(part: slice) -> int:
        assert all(reference() is None for reference in allocated), "the failed batch is alive"
        memory = Memory()
        allocated.append(weakref.ref(memory))
        if part.stop - part.start > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return int(part.stop - part.start)

    assert [size for _, size in in_batches(7, 4, work)] == [2, 2, 2, 1]
    allocated.clear()
    assert with_memory_freed(lambda: work(slice(0, 2 if allocated else 3))) == 2


def test_a_single_prompt_that_does_not_fit_is_an_error(
    engine: Engine, scene: RgbImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> LowRankPrompts:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(LowRankDecoder, "decode", full)
    with pytest.raises(torch.OutOfMemoryError):
        engine.generate(scene)


def test_an_image_too_narrow_for_the_network_is_refused_by_name(engine: Engine) -> None:
    image = np.zeros((1, 600, 3), np.uint8)
    with pytest.raises(ParameterError, match=r"600x1 pixels.*512 times at most"):
        engine.embed(image)
    with pytest.raises(ParameterError, match="600x1 pixels"):
        engine.generate(image)
