"""How the embedded checkpoint is made: what is trained is what the official modules compute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from serving.sam.architectures import VIT_TINY
from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

ensure_torchvision_ops()

from segment_anything.modeling import Sam, image_encoder  # noqa: E402

from scripts.training import network, train  # noqa: E402
from scripts.training.materials import Materials  # noqa: E402
from scripts.training.prompts import Batch, batch, interior_point, tight_box  # noqa: E402
from scripts.training.scenes import scene  # noqa: E402

PLAIN = Materials(photos=(), regions=(), cutouts=())


@pytest.fixture(autouse=True)
def official_positions() -> Iterator[None]:
    """Training changes one function of the official module; other tests must not see that."""
    original = image_encoder.get_rel_pos
    yield
    image_encoder.get_rel_pos = original


@pytest.fixture(scope="module")
def sam() -> Sam:
    torch.manual_seed(1)
    sam = VIT_TINY.build()
    network.initialise(sam, 1)
    for name, parameter in sam.named_parameters():
        if "rel_pos" in name:  # zero at first, which would hide a wrong index
            torch.nn.init.normal_(parameter, std=0.2)
    return sam


@pytest.fixture(scope="module")
def whole() -> Batch:
    return batch(np.random.default_rng(3), PLAIN, size=2, side=256)


@torch.no_grad()
def test_training_forward_equals_the_official_modules(sam: Sam, whole: Batch) -> None:
    """On whole images, for points and boxes, to 1e-4 of logits (other order of sums)."""
    network.use_true_distances()
    ours = network.embed(sam, whole.images, whole.valid, whole.offsets)
    sparse = network.sparse_embeddings(sam, whole.coords, whole.labels, whole.offsets, 8)
    masks, ious = network.decode(sam, ours, sparse, whole.offsets)
    pixels = (whole.images.permute(0, 3, 1, 2) - sam.pixel_mean) / sam.pixel_std
    official = sam.image_encoder(pixels * whole.valid[:, None])
    torch.testing.assert_close(ours, official, atol=1e-4, rtol=1e-4)
    for image in range(2):
        for prompt in range(8):
            box = int(whole.labels[image, prompt, 0]) == 2
            coords = whole.coords[image, prompt]
            tokens, dense = sam.prompt_encoder(
                points=None if box else (coords[None, :1], torch.ones(1, 1)),
                boxes=coords.reshape(1, 4) if box else None,
                masks=None,
            )
            wanted, score = sam.mask_decoder.predict_masks(
                official[image : image + 1], sam.prompt_encoder.get_dense_pe(), tokens, dense
            )
            torch.testing.assert_close(masks[image, prompt], wanted[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(ious[image, prompt], score[0], atol=1e-4, rtol=1e-4)


def test_batch_prompts_lie_in_their_targets() -> None:
    drawn = batch(np.random.default_rng(5), PLAIN, size=6, side=128)
    assert drawn.images.shape == (6, 128, 128, 3)
    assert drawn.targets.shape == (6, 8, 64, 64)
    for image in range(6):
        for prompt in range(8):
            target = drawn.targets[image, prompt]
            (x0, y0), (x1, y1) = drawn.coords[image, prompt].tolist()
            if int(drawn.labels[image, prompt, 0]) == 1:
                x, y = int(x0) // 2, int(y0) // 2
                assert target[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max() > 0
            else:
                assert x1 >= x0 and y1 >= y0
    assert int(drawn.offsets.max()) <= 16


def test_scene_is_determined_by_its_seed_and_objects_do_not_overlap() -> None:
    first, second = (scene(np.random.default_rng(9), PLAIN) for _ in range(2))
    assert (first.image == second.image).all()
    assert first.image.shape == (256, 256, 3) and first.image.dtype == np.uint8
    assert np.stack(first.objects).sum(axis=0).max() <= 1
    assert first.background is not None
    assert not (first.background & np.stack(first.objects).any(axis=0)).any()


def test_interior_point_and_tight_box_of_a_disc() -> None:
    rows, columns = np.mgrid[:60, :80]
    disc = (rows - 20) ** 2 + (columns - 50) ** 2 <= 15**2
    assert np.abs(np.array(interior_point(disc)) - (50, 20)).max() <= 1
    assert tight_box(disc).tolist() == [35, 5, 65, 35]


def test_mask_loss_prefers_the_right_mask_and_its_half_tones() -> None:
    target = torch.zeros(16, 16)
    target[4:12, 4:12] = 1.0
    target[3, 4:12] = 0.5
    right = torch.where(target > 0.75, 8.0, -8.0)
    right[3, 4:12] = 0.0
    assert train.mask_loss(right, target) < train.mask_loss(-right, target)
    harder = right.clone()
    harder[3, 4:12] = 8.0
    assert train.mask_loss(right, target) < train.mask_loss(harder, target)
    assert train.mask_iou(right, target) > 0.85


def test_corrective_click_falls_where_the_mask_is_wrong() -> None:
    targets = torch.zeros(1, 2, 8, 8)
    targets[:, :, 2:6, 2:6] = 1
    logits = torch.where(targets > 0, 5.0, -5.0)
    logits[0, 0, 2, 2] = -5.0  # missed
    logits[0, 1, 7, 7] = 5.0  # spilled
    point, label = train.corrective_click(logits, targets)
    assert point.tolist() == [[[4.0, 4.0], [14.0, 14.0]]]
    assert label.tolist() == [[1, 0]]


def test_learning_rate_warms_up_and_falls_to_its_floor() -> None:
    scale = [train.learning_rate_scale(step, 1000, 0.5, 0.1) for step in range(1001)]
    assert scale[0] == pytest.approx(0.01)
    assert scale[100] == scale[500] == 1.0
    assert scale[750] == pytest.approx(0.55)
    assert scale[1000] == pytest.approx(0.1)


def test_training_resumed_equals_training_undisturbed(tmp_path: Path) -> None:
    """Weights, averages and both optimizers come back as they were."""
    batches = [batch(np.random.default_rng(seed), PLAIN, size=1, side=128) for seed in (1, 2)]
    straight = train.Training()
    straight.step(batches[0], False, 1.0, "crops")
    straight.save(tmp_path / "state.pt")
    straight.step(batches[1], False, 1.0, "crops")
    resumed = train.Training(seed=5)
    resumed.restore(tmp_path / "state.pt")
    resumed.step(batches[1], False, 1.0, "crops")
    assert resumed.steps_done == straight.steps_done == 2
    for one, other in ((straight.sam, resumed.sam), (straight.average, resumed.average)):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name
