"""Tensors that say they are on a GPU and keep their numbers on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from tests.stand_ins.pretend_gpu import PretendGpu

aten = torch.ops.aten
DEVICE = torch.device("cuda", 0)
CURRENT: list[PretendGpu] = []  # the last one counts


class OnGpu(torch.Tensor):
    """A tensor of the pretended GPU; ``numbers`` is the one that computes."""

    numbers: torch.Tensor

    @staticmethod
    def __new__(cls, numbers: torch.Tensor) -> OnGpu:
        made: OnGpu = torch.Tensor._make_wrapper_subclass(
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=DEVICE,
        )
        made.numbers = numbers
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnGpu({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            return cls._indexed(*args)
        func = _ASKING_CUDA.get(func, func)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @staticmethod
    def _indexed(whole: torch.Tensor, index: Any, *value: Any) -> Any:
        parts = list(index) if isinstance(index, tuple) else [index]
        if not isinstance(whole, OnGpu):
            raise RuntimeError("indices should be on the CPU, as the indexed tensor is")
        gpu, plain = CURRENT[-1], []
        for part in parts:
            if isinstance(part, OnGpu):
                if part.dtype in (torch.bool, torch.uint8) and not _is_single(value):
                    gpu.wait("index by a mask")
            elif isinstance(part, (torch.Tensor, list, np.ndarray)):
                gpu.wait("up: an index of the host")
            plain.append(part.numbers if isinstance(part, OnGpu) else part)
        if value:
            gpu.launch("index_put", [])
            own = value[0]
            if isinstance(own, torch.Tensor) and not isinstance(own, OnGpu) and own.dim():
                gpu.wait("up: a value of the host")
            whole.numbers[tuple(plain)] = own.numbers if isinstance(own, OnGpu) else own
            return None
        part = whole.numbers[tuple(plain)]
        if any(isinstance(each, (torch.Tensor, list, np.ndarray)) for each in plain):
            gpu.launch("index", [part, part])
        return OnGpu(part)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # the base's is a function of C
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise RuntimeError(f"{func} on a tensor of a pretended GPU that has been given back")


# PyTorch's own methods of these names ask CUDA itself first, whatever the tensor's class says.
_ASKING_CUDA: dict[Any, Any] = {
    torch.Tensor.tolist: lambda value: value.cpu().tolist(),
    torch.Tensor.contiguous: lambda value, **_: aten.contiguous(value),
    torch.Tensor.nonzero: lambda value: aten.nonzero(value),
    torch.Tensor.copy_: lambda to, value, non_blocking=False: aten.copy_(to, value, non_blocking),
    torch.Tensor.new_tensor: lambda value, data: torch.tensor(
        data, dtype=value.dtype, device=value.device
    ),
    torch.Tensor.__invert__: lambda value: aten.bitwise_not(value),
    torch.Tensor.__int__: lambda value: int(value.item()),
    torch.Tensor.__index__: lambda value: int(value.item()),
    torch.Tensor.__float__: lambda value: float(value.item()),
    torch.Tensor.__bool__: lambda value: bool(value.item()),
}


def _is_single(value: tuple[Any, ...]) -> bool:
    """Whether one number is written, which needs no count of the places."""
    return bool(value) and (not isinstance(value[0], torch.Tensor) or value[0].numel() == 1)
