"""Where to compute, and in which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from serving.sam.errors import DeviceError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16", "fp16")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device to compute on: the first GPU for ``auto`` where there is one.

    Raises:
        DeviceError: the name is unknown or the device is not on this machine.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device {name!r} is unknown; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {name!r}: no CUDA GPU is visible here; use cpu or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"device {name!r}: this machine has {torch.cuda.device_count()} GPU(s), counted from 0"
        )
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not supported; use auto, cpu or cuda")
    return device


def choose_precision(name: Precision, device: torch.device) -> Precision:
    """Return the precision to compute in; ``auto`` is exact on a CPU and fast on a GPU.

    On every GPU that is fp16: as fast as bf16, with eight times as many digits. Its range is
    smaller, so an image whose embedding overflows is embedded again in float32
    (``image_embedder``). UNVERIFIED with Meta's weights on a GPU.

    Raises:
        DeviceError: the device cannot compute in it.
    """
    import torch

    if name not in PRECISIONS:
        raise DeviceError(f"precision {name!r} is unknown; use one of {', '.join(PRECISIONS)}")
    if name == "auto":
        return "fp32" if device.type == "cpu" else "fp16"
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a GPU; on a CPU use bf16 (fast) or fp32 (exact)")
    if (
        name == "bf16"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        raise DeviceError("precision bf16: this GPU only emulates it, slowly; use fp16 or fp32")
    return name


def keep_digits() -> None:
    """Let a GPU round no more than the precision says; for the whole process.

    By default cuDNN rounds the inputs of float32 convolutions to TensorFloat-32 (10 bits), and sums
    of float16 products may be taken in float16
    (https://docs.pytorch.org/docs/stable/notes/numerical_accuracy.html). The network has three
    small convolutions, so their time does not matter.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
