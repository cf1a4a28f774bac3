"""Learning rates, and a training run that goes on after an interruption as if there was none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.training import train
from scripts.training.prompts import batch
from tests.scripts.training.conftest import PLAIN


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
    for expected, actual in ((straight.sam, resumed.sam), (straight.average, resumed.average)):
        for name, value in expected.state_dict().items():
            assert torch.equal(value, actual.state_dict()[name]), name
