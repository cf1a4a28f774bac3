"""The time of an image: kept from runs, used for the same machine only."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.costs.throughput import PUBLISHED, THIS_MACHINE, Throughput, remember, throughput
from scripts.terminal.errors import OperatorError
from serving.sam.machine.user_cache import user_cache


def test_estimate_of_large_images_is_bound_by_what_goes_on_beside_the_network() -> None:
    measured = Throughput(seconds=1.0, beside=0.2, basis="measured")
    assert measured.seconds_for(1) == 1.0
    assert measured.seconds_for(50) == 10.0


def metrics(prompted: int = 0, computed: int = 10) -> dict[str, Any]:
    return {
        "prompted": prompted, "done": computed, "megapixels": 20.0, "model": {"name": "vit_b"},
        "seconds_per_stage": {"read": 1.0, "segment": 30.0, "draw": 3.0},
        "device": "cpu", "run": {"computed": computed, "shard_seconds": 40.0},
    }  # fmt: skip


def test_throughput_is_remembered_from_runs_and_says_its_origin() -> None:
    assert (
        throughput("vertex, NVIDIA_TESLA_T4", "vit_b", "automatic").seconds
        == PUBLISHED["automatic"]
    )
    remember(metrics(), "vertex, NVIDIA_TESLA_T4")
    times = throughput("vertex, NVIDIA_TESLA_T4", "vit_b", "automatic")
    assert times.seconds == 4.0 and times.beside == pytest.approx(0.2)
    assert "measured on" in times.basis and "10 images" in times.basis
    # What was measured with prompts, elsewhere or over two images says nothing of this.
    assert throughput("vertex, NVIDIA_TESLA_T4", "vit_b", "prompted").seconds == 3.15
    remember(metrics(prompted=10, computed=2), "vertex, NVIDIA_L4")
    remember(metrics(prompted=5), "vertex, NVIDIA_L4")
    assert "original" in throughput("vertex, NVIDIA_L4", "vit_b", "prompted").basis
    with pytest.raises(OperatorError, match="nothing was measured on this machine"):
        throughput(THIS_MACHINE, "vit_b", "automatic")
    assert throughput(THIS_MACHINE, "vit_b", "automatic", 2.5).seconds == 2.5


def test_times_of_another_version_are_ignored() -> None:
    remember(metrics(), THIS_MACHINE)
    file = user_cache() / "throughput.json"
    file.write_text(file.read_text().replace('"beside"', '"of a later version"'))
    with pytest.raises(OperatorError, match="nothing was measured on this machine"):
        throughput(THIS_MACHINE, "vit_b", "automatic")
