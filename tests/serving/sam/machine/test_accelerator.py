"""What a machine computes on is said in full, and nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from serving.sam.errors import DeviceError
from serving.sam.machine import accelerator
from serving.sam.machine.accelerator import describe_device, require_accelerator


def test_cpu_is_named() -> None:
    facts = describe_device(torch.device("cpu"))
    assert facts["device"] == "cpu" and facts["name"]


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5 2024", "550.54.15"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124  Release", "570.124"),
        ("something else", ""),
    ],
)
def test_driver_is_read_from_its_kernel_module(tmp_path: Path, text: str, driver: str) -> None:
    (tmp_path / "version").write_text(text + "\nGCC version: 12.2.0\n")
    assert accelerator.nvidia_driver(tmp_path / "version") == driver
    assert accelerator.nvidia_driver(tmp_path / "missing") == ""


@pytest.mark.gpu
def test_gpu_is_named_with_driver_and_libraries() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU on this machine")
    facts = describe_device(torch.device("cuda"))
    assert all(facts[name] for name in ("name", "driver", "cuda", "capability"))


def test_a_machine_with_an_accelerator_does_not_compute_on_its_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require_accelerator("", torch.device("cpu"))
    require_accelerator("NVIDIA_TESLA_T4", torch.device("cuda"))
    driver = tmp_path / "version"
    monkeypatch.setattr(accelerator, "_DRIVER", driver)
    with pytest.raises(DeviceError, match=r"has NVIDIA_TESLA_T4, but .*no NVIDIA driver"):
        require_accelerator("NVIDIA_TESLA_T4", torch.device("cpu"))
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Fri May 31\n")
    with pytest.raises(DeviceError, match=r"driver 550\.90\.07"):
        require_accelerator("NVIDIA_L4", torch.device("cpu"))
