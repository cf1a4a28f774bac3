"""How a checkpoint file becomes a network although nobody vouches for the file.

A ``.pth`` file is a pickle: loading one can run code. So this module compares the digest of
a known file before it opens it, and reads every file with ``weights_only=True``, which refuses
anything but tensors (https://pytorch.org/docs/stable/generated/torch.load.html).
"""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.sam.architectures import (
    PIXEL_MEAN,
    PIXEL_STD,
    SamArchitecture,
    infer_architecture,
)
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.errors import CheckpointError
from serving.sam.known_checkpoints import CHECKPOINTS, CheckpointEntry, find_entry

if TYPE_CHECKING:
    import torch
    from segment_anything.modeling import Sam

_BLOCK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCheckpoint:
    """A network with its weights, and where they come from.

    Attributes:
        sam: the official network, float32, evaluation mode, on the CPU.
        name: the known checkpoint's name, or the file's.
        sha256: digest of the file.
        architecture: its sizes.
        automatic: thresholds that suit it.
    """

    sam: Sam
    name: str
    sha256: str
    architecture: SamArchitecture
    automatic: AutomaticSettings


def file_sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Return the hex SHA-256 of a file, read in blocks; ``progress`` gets each block's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            if progress:
                progress(len(block))
    return digest.hexdigest()


def load_checkpoint(path: str | Path, entry: CheckpointEntry | None = None) -> LoadedCheckpoint:
    """Return the network of a checkpoint file.

    Args:
        path: the file, or the name of the checkpoint in this package, ``vit_tiny``.
        entry: what the file must be; by default the known checkpoint of the same file name, and
            for any other name whatever the weights' shapes say.

    Raises:
        CheckpointError: missing, empty, truncated, an HTML page, another digest than published,
            a pickle with code, not a state dict, not SAM, or of another architecture.
    """
    path = _file_of(path)
    entry = entry or find_entry(path.name)
    check_file(path, entry)
    digest = file_sha256(path)
    if entry is not None and digest != entry.sha256:
        raise CheckpointError(
            f"{path}: SHA-256 is {digest[:12]}..., but {entry.name} has {entry.sha256[:12]}...; "
            "the file is damaged or not what its name says: fetch it again, or rename your own "
            "fine-tuned weights"
        )
    weights = _read_weights(path)
    try:
        architecture = infer_architecture(weights)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if entry is not None and architecture != entry.architecture:
        raise CheckpointError(f"{path}: the weights are not of the {entry.name} architecture")
    name = entry.name if entry else path.stem
    sam = _fill(architecture, weights, path)
    automatic = entry.automatic if entry else AutomaticSettings()
    return LoadedCheckpoint(
        sam=sam, name=name, sha256=digest, architecture=architecture, automatic=automatic
    )


def _file_of(name_or_path: str | Path) -> Path:
    """The file that a name stands for; a file of that name goes first."""
    path = Path(name_or_path)
    entry = CHECKPOINTS.get(str(name_or_path))
    if entry is None or path.is_file():
        return path
    if entry.embedded_path is None:
        raise CheckpointError(
            f"{entry.name}: {entry.file_name} is not in this package; "
            f"'sam-vertex checkpoint fetch {entry.name}' prints the path of the file to load"
        )
    return entry.embedded_path


def check_file(path: Path, entry: CheckpointEntry | None) -> None:
    """Refuse what is certainly no checkpoint, by its size and first bytes alone.

    Raises:
        CheckpointError: missing, a folder, empty, an HTML page, or shorter than published.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint file")
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint file, found a folder")
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"{path}: the checkpoint file is empty (0 bytes); fetch it again")
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise CheckpointError(
            f"{path}: an HTML or XML page, not a checkpoint; the download ended at an error page: "
            "fetch it again"
        )
    if entry is not None and size < entry.size_bytes:
        raise CheckpointError(
            f"{path}: truncated: {entry.name} has {entry.size_bytes} bytes, this file {size}; "
            "fetch it again"
        )


def _read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    import torch

    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights only" in str(error).lower() or "Unsupported" in str(error):
            raise CheckpointError(
                f"{path}: the pickle holds more than tensors and could run code when loaded; "
                "refused. Save the weights alone: torch.save(model.state_dict(), file)"
            ) from error
        raise CheckpointError(f"{path}: not a PyTorch file ({error})") from error
    except (RuntimeError, EOFError, zipfile.BadZipFile, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: not a readable PyTorch file ({reason}); it may be truncated: fetch it again"
        ) from error
    for wrapper in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    ):
        raise CheckpointError(
            f"{path}: expected a state dict (parameter name to tensor), found "
            f"{type(content).__name__}; save torch.save(model.state_dict(), file)"
        )
    return content


def _fill(architecture: SamArchitecture, weights: Mapping[str, torch.Tensor], path: Path) -> Sam:
    import torch

    # "meta" allocates nothing and draws nothing at random; the file's own tensors move in.
    with torch.device("meta"):
        sam = architecture.build()
    try:
        sam.load_state_dict({k: v.float() for k, v in weights.items()}, assign=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{path}: the weights do not fit the SAM network that their shapes imply: {detail}"
        ) from error
    sam.pixel_mean = torch.tensor(PIXEL_MEAN).view(-1, 1, 1)
    sam.pixel_std = torch.tensor(PIXEL_STD).view(-1, 1, 1)
    return sam.requires_grad_(False).eval()
