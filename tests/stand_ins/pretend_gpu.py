"""A GPU that is none: tensors that say they are on ``cuda:0`` and keep their numbers on the CPU.

Code for a GPU runs on it as it stands, and what slows a real one down can be counted. What it
cannot show is in ``tests/stand_ins/README.md``.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from tests.stand_ins.gpu_tensor import CURRENT, OnGpu

MEMORY_BYTES = 70 << 30
ALIGNED = 8  # values between a bias's rows, for the memory-efficient attention (PyTorch's sdp code)
# Of these the host has to know how many values there are, or what they are.
_WAITING = {
    "_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "unique_consecutive",
    "masked_select", "equal", "bincount", "repeat_interleave",
}  # fmt: skip
_NO_KERNEL = {
    "_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided",
    "lift_fresh", "_reshape_alias", "detach",
}  # fmt: skip
_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "convolution"}
_INDEXING = {"index", "index_put", "_index_put_impl", "_unsafe_index"}


class PretendGpu(TorchDispatchMode):
    """Computes for tensors that are ``OnGpu``, and counts.

    Attributes:
        kernels: launches by operation; a real operation may launch several.
        waits: where the host waits for the device: results that it reads, sizes that it has to
            know, copies that are not from or to pinned memory.
        up_bytes, down_bytes: copied to the device and from it.
        traffic_bytes: of the device's memory, as if it had no cache.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: collections.Counter[str] = collections.Counter()
        self.waits: collections.Counter[str] = collections.Counter()
        self.up_bytes = self.down_bytes = self.traffic_bytes = 0
        self._pinned: dict[int, torch.UntypedStorage] = {}
        self._in_flight: list[tuple[torch.Tensor, torch.Tensor]] = []

    def reset(self) -> None:
        """Count from here."""
        self.kernels.clear()
        self.waits.clear()
        self.up_bytes = self.down_bytes = self.traffic_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name.partition("::")[2]
        if name in ("pin_memory", "_pin_memory"):
            return self._pin(args[0].clone())
        if name == "is_pinned":
            return self._is_pinned(args[0])
        if name == "scaled_dot_product_attention":
            return self._attention(func, args, kwargs)
        if func._can_decompose():  # else inference mode would show sums of operations as one
            with self:
                return func.decompose(*args, **kwargs)
        leaves, spec = pytree.tree_flatten((args, kwargs))
        here = [leaf for leaf in leaves if isinstance(leaf, OnGpu)]
        host = [
            leaf
            for leaf in leaves
            if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnGpu)
        ]
        target = kwargs.get("device")
        to_gpu = bool(here) if target is None else torch.device(target).type == "cuda"
        if not here and not to_gpu:
            return func(*args, **kwargs)
        plain = [leaf.numbers if isinstance(leaf, OnGpu) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(plain, spec)
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        kwargs.pop("pin_memory", None)
        if name in ("_to_copy", "copy_"):
            into_host = not to_gpu or (name == "copy_" and not isinstance(leaves[0], OnGpu))
            self._transfer(name, here, host, into_host, kwargs.pop("non_blocking", False), args)
            to_gpu = not into_host
        elif any(value.dim() for value in host):
            self._mixed(func, name, host)
        out = self._compute(func, name, args, kwargs)
        read = [leaf for leaf in plain if leaf is not kwargs.get("out")]
        self._count(func, name, read, out, args)
        if name in ("_local_scalar_dense", "equal"):
            return out
        known = {id(leaf.numbers): leaf for leaf in here}
        if not to_gpu:
            return host[0] if name == "copy_" else out
        return pytree.tree_map_only(
            torch.Tensor, lambda t: known[id(t)] if id(t) in known else OnGpu(t), out
        )

    @staticmethod
    def _compute(func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """As a GPU: products of 16 bits are summed in float32 and rounded once."""
        values = [v for v in pytree.tree_leaves(args) if isinstance(v, torch.Tensor)]
        base = name.rstrip("_")
        if base in _PRODUCTS and not values[0].is_floating_point():
            raise RuntimeError(f"{func}: CUDA multiplies no matrices of {values[0].dtype}")
        if (
            base not in _PRODUCTS
            or values[0].dtype == torch.float32
            or kwargs.get("out") is not None
        ):
            return func(*args, **kwargs)
        if len({value.dtype for value in values}) > 1:
            raise RuntimeError(f"{func}: expected one dtype, got {[v.dtype for v in values]}")
        wide = pytree.tree_map_only(torch.Tensor, torch.Tensor.float, args)
        out = func(*wide, **kwargs).to(values[0].dtype)
        return args[0].copy_(out) if name != base else out

    def _count(self, func: Any, name: str, leaves: list[Any], out: Any, args: Any) -> None:
        if func.is_view or name.rstrip("_") in _NO_KERNEL or name in ("_to_copy", "copy_"):
            return
        if name in _WAITING and not (name == "repeat_interleave" and len(args) > 1):
            self.wait(name)
        if name.rstrip("_") in _INDEXING:
            masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
            if masks and (name == "index" or args[2].numel() > 1):  # one value is filled in
                self.wait(f"{name} with a mask")
        self.launch(name, [*leaves, *pytree.tree_leaves(out)])

    def launch(self, name: str, values: list[Any]) -> None:
        """Count a kernel that reads or writes some values."""
        self.kernels[name] += 1
        for value in values:
            if isinstance(value, torch.Tensor):
                sizes = zip(value.shape, value.stride(), strict=True)
                distinct = torch.Size(size for size, stride in sizes if stride).numel()
                self.traffic_bytes += min(value.numel(), distinct) * value.element_size()

    def wait(self, what: str) -> None:
        """Count one time that the host waits until the device has done everything."""
        self.waits[what] += 1
        for source, sent in self._in_flight:
            if not torch.equal(source, sent):
                raise RuntimeError("pinned memory was changed while it was being copied")
        self._in_flight.clear()

    def _transfer(
        self,
        name: str,
        here: list[OnGpu],
        host: list[torch.Tensor],
        into_host: bool,
        non_blocking: bool,
        args: Any,
    ) -> None:
        if here and not host and not into_host:  # a cast, or a copy on the device
            self.launch("copy", list(args))
        elif into_host:
            if non_blocking:
                raise NotImplementedError("copies from the device that are not waited for")
            self.down_bytes += here[0].numel() * here[0].element_size()
            self.wait("down")
        else:
            (source,) = host
            self.up_bytes += source.numel() * source.element_size()
            if non_blocking and self._is_pinned(source):
                self._in_flight.append((source, source.clone()))
            else:
                self.wait("up")

    def _mixed(self, func: Any, name: str, host: list[torch.Tensor]) -> None:
        """CUDA lets only indices and single numbers come from the host."""
        if name.rstrip("_") not in _INDEXING:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but {func} got cuda:0 and cpu"
            )
        self.up_bytes += sum(value.numel() * value.element_size() for value in host)
        self.wait(f"{name} with indices of the host")

    def _attention(self, func: Any, args: Any, kwargs: Any) -> Any:
        leaves = pytree.tree_leaves((args, kwargs))
        values = [leaf.numbers for leaf in leaves if isinstance(leaf, OnGpu)]
        if len(values) != sum(isinstance(leaf, torch.Tensor) for leaf in leaves):
            raise RuntimeError(f"Expected all tensors to be on the same device: {func}")
        if not values:
            return func(*args, **kwargs)
        args, kwargs = pytree.tree_map_only(OnGpu, lambda t: t.numbers, (args, kwargs))
        bias = kwargs.get("attn_mask")
        if bias is not None and any(stride % ALIGNED for stride in bias.stride()[:-1]):
            self.launch("attention's padded bias", [bias, bias])
        wide = pytree.tree_map_only(torch.Tensor, torch.Tensor.float, (args, kwargs))
        out = func(*wide[0], **wide[1]).to(values[0].dtype)
        self.launch("attention", [*values, out])
        return OnGpu(out)

    def _pin(self, value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        self._pinned[storage.data_ptr()] = storage  # kept, so that nobody else gets its address
        return value

    def _is_pinned(self, value: torch.Tensor) -> bool:
        return value.untyped_storage().data_ptr() in self._pinned


def pretend(patch: pytest.MonkeyPatch) -> Iterator[PretendGpu]:
    """A machine with a GPU, for as long as the generator stands; a fixture yields from it."""
    answers: dict[str, Any] = {
        "_lazy_init": None,
        "is_available": True,
        "device_count": 1,
        "is_bf16_supported": True,
        "mem_get_info": (MEMORY_BYTES, MEMORY_BYTES),
        "get_device_properties": types.SimpleNamespace(total_memory=MEMORY_BYTES),
        "memory_reserved": 0,
        "memory_allocated": 0,
        "empty_cache": None,
    }
    for name, answer in answers.items():
        patch.setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    # As torch's own fake tensors do: ``torch.tensor`` makes its values here and then moves them.
    torch._C._set_only_lift_cpu_tensors(True)
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # a module's ``to``
    try:
        with torch.inference_mode(), PretendGpu() as gpu:  # autograd's counters are not pretended
            CURRENT.append(gpu)
            yield gpu
    finally:
        CURRENT.clear()
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        torch._C._set_only_lift_cpu_tensors(False)
