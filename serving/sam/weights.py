"""The tensors of a weights file: read without running code, and compared with what a network has.

A ``.pth`` file is a pickle: loading one can run code. So this module reads with
``weights_only=True``, which refuses anything but tensors
(https://pytorch.org/docs/stable/generated/torch.load.html); a safetensors file holds nothing else.
Of either it takes what a network needs: dense, finite numbers of exactly its names and shapes.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.sam.errors import CheckpointError

if TYPE_CHECKING:
    import torch

# How PyTorch's own files begin: an archive since 1.6, before that a pickle.
_PYTORCH = (b"PK", b"\x80")
_OTHERS = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"\x89HDF": "an HDF5 file, as Keras writes",
    b"GGUF": "a GGUF file",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"%PDF": "a PDF",
}
_FLOATS = ("float16", "bfloat16", "float32", "float64")
# Below which key training code keeps the weights, and what wrappers of a network put before a name.
_WRAPPERS = ("model", "state_dict", "model_state", "model_state_dict")
_PREFIXES = ("module.", "model.", "sam.", "_orig_mod.")
_DEEPEST = 4
_SAVE = "save the weights alone: torch.save(model.state_dict(), file)"


def check_start(path: Path) -> None:
    """Refuse a file that begins neither as PyTorch's do nor as safetensors, and say what it is.

    Raises:
        CheckpointError: a web page, an image or anything else.
    """
    with path.open("rb") as file:
        start = file.read(512)
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise CheckpointError(
            f"{path}: an HTML or XML page, not a checkpoint; the download ended at an error page: "
            "fetch it again"
        )
    for magic, kind in _OTHERS.items():
        if start.startswith(magic):
            raise CheckpointError(f"{path}: expected PyTorch weights, found {kind}")
    if not start.startswith(_PYTORCH) and not _is_safetensors(start):
        raise CheckpointError(
            f"{path}: neither a PyTorch file nor safetensors: it begins with "
            f"{start[:8].hex(' ')}; {_SAVE}"
        )


def _is_safetensors(start: bytes) -> bool:
    """Whether a file begins with the length of a header, below 4 GB, and the header in JSON.

    The length may begin as a pickle does: its first byte is any.
    """
    return start[4:9] == bytes(4) + b"{"


def read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a file by the names that the bare network has for them.

    Raises:
        CheckpointError: damaged, with more than tensors, or no state dict.
    """
    import torch

    with path.open("rb") as file:
        content: Any = _safetensors(path) if _is_safetensors(file.read(9)) else _pickled(path)
    for _ in range(_DEEPEST):
        inner = [content[key] for key in _WRAPPERS if isinstance(_get(content, key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    ):
        raise CheckpointError(
            f"{path}: expected a state dict (parameter name to tensor), found "
            f"{type(content).__name__}; instead {_SAVE}"
        )
    return _bare(content)


def _get(content: Any, key: str) -> Any:
    return content.get(key) if isinstance(content, Mapping) else None


def _bare(weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """The weights without the prefixes that all names share."""
    for _ in range(_DEEPEST):
        shared = [p for p in _PREFIXES if weights and all(name.startswith(p) for name in weights)]
        if not shared:
            break
        weights = {name.removeprefix(shared[0]): value for name, value in weights.items()}
    return weights


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            # Copied: a tensor of the file's own mapping would change with the file.
            return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({reason[:200]}); it may be truncated: "
            "fetch it again"
        ) from error


def _pickled(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "nsupported class" in str(error):
            raise CheckpointError(
                f"{path}: the pickle holds more than tensors and could run code when loaded; "
                f"refused. Instead {_SAVE}"
            ) from error
        raise CheckpointError(
            f"{path}: the pickle is damaged or holds more than tensors; refused. Instead {_SAVE}"
        ) from error
    except (RuntimeError, EOFError, zipfile.BadZipFile, OSError, ValueError, KeyError) as error:
        if "TorchScript" in str(error):
            raise CheckpointError(
                f"{path}: a TorchScript program, not weights; refused. Instead {_SAVE}"
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: not a readable PyTorch file ({reason[:200]}); it may be truncated: "
            "fetch it again"
        ) from error
    except Exception as error:  # the unpickler's own code meets an operand that it did not expect
        raise CheckpointError(
            f"{path}: the pickle is damaged ({type(error).__name__}): fetch the file again"
        ) from error


def fitting_weights(
    weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return weights as float32 on the CPU, contiguous, if they are exactly those of a network.

    Args:
        weights: as a file has them.
        expected: the network's own, whose names and shapes count.

    Raises:
        CheckpointError: a parameter is missing or too many, has another shape, is sparse, not of
            floating-point numbers, or holds one that is not finite.
    """
    missing = [name for name in expected if name not in weights]
    surplus = [name for name in weights if name not in expected]
    if missing or surplus:
        kind, names = ("missing", missing) if missing else ("unknown", surplus)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise CheckpointError(
            "the weights do not fit the SAM network that their shapes imply: "
            f"{kind} parameter {names[0][:120]!r}{more}"
        )
    return {name: _usable(name, weights[name], expected[name]) for name in expected}


def _usable(name: str, value: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    import torch

    kind = str(value.dtype).removeprefix("torch.")
    if value.layout != torch.strided or value.is_quantized or kind not in _FLOATS:
        layout = str(value.layout).removeprefix("torch.")
        raise CheckpointError(
            f"parameter {name!r}: expected dense floating-point numbers, found {kind} ({layout})"
        )
    if value.shape != expected.shape:
        raise CheckpointError(
            "the weights do not fit the SAM network that their shapes imply: parameter "
            f"{name!r} has shape {tuple(value.shape)}, expected {tuple(expected.shape)}"
        )
    if value.untyped_storage().nbytes() < value.numel() * value.element_size():
        raise CheckpointError(
            f"parameter {name!r}: {value.numel()} numbers, but the file holds fewer; one number "
            "stands for many; call .contiguous() on it before you save it"
        )
    dense = value.detach().to(torch.float32).contiguous()
    if not all(bool(torch.isfinite(extreme)) for extreme in dense.aminmax()):
        raise CheckpointError(
            f"parameter {name!r} holds numbers that are not finite (NaN or infinite): training "
            "diverged, or the file is damaged; take an earlier checkpoint"
        )
    return dense
