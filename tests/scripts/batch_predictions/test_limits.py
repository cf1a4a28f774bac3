"""A request that would end without an answer is refused before a machine bills for it."""

from __future__ import annotations

import pytest

from scripts.batch_predictions.limits import check_batch_size
from scripts.terminal.errors import OperatorError

T4 = "vertex, NVIDIA_TESLA_T4"


def test_requests_that_fit_pass() -> None:
    check_batch_size(2, T4, "sam_vit_b_01ec64.pth", "automatic")
    check_batch_size(1, T4, "mine.pth", "automatic")


def test_too_many_images_for_the_server_are_refused() -> None:
    with pytest.raises(OperatorError, match="at most 64 images"):
        check_batch_size(65, T4, "sam_vit_b_01ec64.pth", "prompted")


def test_too_many_seconds_for_vertex_are_refused_with_what_fits() -> None:
    """12.7 s an image were published for this machine."""
    with pytest.raises(OperatorError, match="about 635 s, and Vertex AI waits 600 s") as caught:
        check_batch_size(50, T4, "sam_vit_b_01ec64.pth", "automatic")
    assert caught.value.hint == "--batch-size 42"
    check_batch_size(42, T4, "sam_vit_b_01ec64.pth", "automatic")
