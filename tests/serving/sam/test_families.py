"""Families: what each does to an image is what its own code does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serving.sam.checkpoints import load_checkpoint
from serving.sam.errors import ParameterError
from serving.sam.families.preprocessing import Frame
from serving.sam.families.table import FAMILIES, SAM
from serving.sam.images import RgbImage
from tests.conftest import draw_scene


def test_a_family_is_found_by_its_name() -> None:
    assert all(FAMILIES[name].name == name for name in FAMILIES)
    assert all(family.source and family.licence for family in FAMILIES.values())


@pytest.mark.parametrize(("width", "height"), [(160, 120), (33, 500), (256, 256), (301, 7)])
def test_an_image_of_sam_is_prepared_as_the_official_code_does(width: int, height: int) -> None:
    from segment_anything.utils.transforms import ResizeLongestSide

    image: RgbImage = draw_scene(width, height)
    sam = load_checkpoint("vit_tiny").sam
    transform = ResizeLongestSide(256)
    scaled = torch.as_tensor(transform.apply_image(image)).permute(2, 0, 1)[None]
    preprocessing = SAM.preprocessing(256)
    assert torch.equal(preprocessing.prepare(image, sam.device), sam.preprocess(scaled))
    frame = preprocessing.frame((height, width))
    assert frame == Frame(256, (scaled.shape[2], scaled.shape[3]), (height, width))
    points = np.array([[[0.0, 0.0], [width - 1.0, height - 1.0], [width / 3, height / 7]]])
    expected = transform.apply_coords(points, (height, width))
    np.testing.assert_allclose(frame.place(points), expected, rtol=1e-15)


def test_an_image_of_which_nothing_would_be_left_is_refused() -> None:
    with pytest.raises(ParameterError, match="5000x1 pixels; brought to 256"):
        SAM.preprocessing(256).frame((1, 5000))
