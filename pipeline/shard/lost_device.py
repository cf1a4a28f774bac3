"""A GPU that is not there, or whose error stays so that every later call would fail as well."""

from __future__ import annotations

from typing import ClassVar

from pipeline.run.parameters import RunError, RunParameters
from serving.sam.errors import DeviceError
from serving.sam.machine.devices import choose_device

EXIT_CODE = 75  # of the worker; sysexits.h calls it a temporary failure


class LostDeviceError(Exception):
    """The accelerator is lost to this process; another process may have it again."""


class NoAcceleratorError(RunError):
    """A shard's machine has no accelerator that works, though one is paid for."""

    callers_fault: ClassVar[bool] = False
    hint: str = (
        "the driver may be older than the image's CUDA, or the machine came without its GPU; run "
        "again, and if it stays so --accelerator none computes on CPUs"
    )


def check_accelerator(parameters: RunParameters) -> None:
    """Refuse to compute on a CPU at the price of a GPU.

    Raises:
        NoAcceleratorError: the run's machines have an accelerator, and none is visible here.
    """
    try:
        choose_device(parameters.device)
    except DeviceError as error:
        raise NoAcceleratorError(f"the shard does not start without its GPU: {error}") from error
