"""The check of a new deployment judges the device, where that is not the stand-in's CPU."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from scripts.releases.canary import SIDE, Canary
from scripts.terminal.errors import CLOUD, OperatorError

MASK = {"size": [SIDE, SIDE], "counts": "x"}


@dataclasses.dataclass
class Reply:
    metadata: dict[str, str]
    predictions: list[Any] = dataclasses.field(default_factory=lambda: [{"masks": [MASK]}])
    deployed_model_id: str = "7"


class Endpoint:
    """The SDK's class, of an endpoint that answers as a server on one kind of device."""

    def __init__(self, device: str) -> None:
        self.device = device

    def predict(self, **_request: Any) -> Reply:
        return Reply({"device": self.device, "precision": "fp16"})


def test_deployment_on_the_cpu_of_a_machine_with_an_accelerator_is_refused() -> None:
    with pytest.raises(OperatorError, match="computes on the CPU of a machine with an acc") as no:
        Canary(Endpoint("cpu"), "7", accelerator=True).ask("")
    assert no.value.exit_code == CLOUD and "Cloud Logging" in no.value.hint


@pytest.mark.parametrize(("device", "accelerator"), [("cuda:0 Tesla T4", True), ("cpu", False)])
def test_deployment_on_what_was_planned_is_told(device: str, accelerator: bool) -> None:
    told = Canary(Endpoint(device), "7", accelerator=accelerator).ask("")
    assert told == f"a point ({device}, fp16), automatic masks ({device}, fp16)"
