"""A seed determines its scene, and the masks show only what is visible."""

from __future__ import annotations

import numpy as np

from scripts.training.scenes import scene
from tests.scripts.training.conftest import PLAIN


def test_scene_is_determined_by_its_seed_and_objects_do_not_overlap() -> None:
    first, second = (scene(np.random.default_rng(9), PLAIN) for _ in range(2))
    assert (first.image == second.image).all()
    assert first.image.shape == (256, 256, 3) and first.image.dtype == np.uint8
    assert np.stack(first.objects).sum(axis=0).max() <= 1
    assert first.background is not None
    assert not (first.background & np.stack(first.objects).any(axis=0)).any()
