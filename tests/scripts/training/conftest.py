"""Materials without pictures, and the official module as it was before training changes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.training.materials import Materials
from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

PLAIN = Materials(photos=(), regions=(), cutouts=())


@pytest.fixture(autouse=True)
def official_positions() -> Iterator[None]:
    """Training changes one function of the official module; other tests must not see that."""
    ensure_torchvision_ops()
    from segment_anything.modeling import image_encoder

    original = image_encoder.get_rel_pos
    yield
    image_encoder.get_rel_pos = original
