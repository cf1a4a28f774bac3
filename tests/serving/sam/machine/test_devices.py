"""Devices and precisions that are not there are refused by name."""

from __future__ import annotations

import pytest

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
