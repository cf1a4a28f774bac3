"""Training prompts lie in their targets; points and boxes follow the protocol of evaluation."""

from __future__ import annotations

import numpy as np

from scripts.training.prompts import batch, interior_point, tight_box
from tests.scripts.training.conftest import PLAIN


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


def test_interior_point_and_tight_box_of_a_disc() -> None:
    rows, columns = np.mgrid[:60, :80]
    disc = (rows - 20) ** 2 + (columns - 50) ** 2 <= 15**2
    assert np.abs(np.array(interior_point(disc)) - (50, 20)).max() <= 1
    assert tight_box(disc).tolist() == [35, 5, 65, 35]
