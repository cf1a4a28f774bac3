"""The shapes of the published weights imply their architecture."""

from typing import Any

import pytest
import torch

from serving.sam.architectures import (
    MOBILE_SAM,
    VIT_B,
    VIT_H,
    VIT_L,
    VIT_TINY,
    infer_architecture,
)


@pytest.mark.parametrize(
    "architecture",
    [VIT_TINY, VIT_B, VIT_L, VIT_H, MOBILE_SAM],
    ids=["tiny", "b", "l", "h", "mobile"],
)
def test_infer_architecture_knows_the_published_shapes(architecture: Any) -> None:
    with torch.device("meta"):
        names = architecture.build().state_dict()
    assert infer_architecture(names) == architecture
