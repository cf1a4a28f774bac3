"""Devices and precisions that are not there are refused by name."""

from __future__ import annotations

import pytest
import torch

from serving.sam.errors import DeviceError
from serving.sam.machine.devices import choose_device, choose_precision


def test_choose_device_and_precision_name_what_is_wrong() -> None:
    cpu = choose_device("cpu")
    assert choose_precision("auto", cpu) == "fp32"
    with pytest.raises(DeviceError, match="needs a GPU"):
        choose_precision("fp16", cpu)
    with pytest.raises(DeviceError, match="unknown"):
        choose_device("warp-drive")
    with pytest.raises(DeviceError, match="not supported"):
        choose_device("meta")


def test_choose_device_knows_how_many_gpus_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match=r"'cuda:9': this machine has 2 GPU\(s\), counted from 0"):
        choose_device("cuda:9")


def test_a_gpu_computes_in_fp16_and_in_no_bf16_that_it_emulates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)  # a T4
    gpu = torch.device("cuda")
    assert choose_precision("auto", gpu) == "fp16"
    with pytest.raises(DeviceError, match="use fp16 or fp32"):
        choose_precision("bf16", gpu)
