"""An accelerator that is paid for is used, or nothing starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from serving.sam.errors import DeviceError
from serving.sam.machine import accelerators
from serving.sam.machine.accelerators import describe_device, driver_version, require_accelerator

CPU = torch.device("cpu")


def test_a_machine_with_an_accelerator_does_not_compute_on_its_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require_accelerator("", CPU)
    require_accelerator("NVIDIA_TESLA_T4", torch.device("cuda"))
    with pytest.raises(DeviceError, match=r"has NVIDIA_TESLA_T4, but .*no NVIDIA driver"):
        require_accelerator("NVIDIA_TESLA_T4", CPU)
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Fri May 31\n")
    monkeypatch.setattr(accelerators, "DRIVER_FILE", driver)
    assert driver_version() == "550.90.07"
    with pytest.raises(DeviceError, match=r"driver 550\.90\.07"):
        require_accelerator("NVIDIA_L4", CPU)


def test_a_device_is_described_by_what_it_has() -> None:
    assert describe_device(CPU) == {"device": "cpu", "torch": torch.__version__}
