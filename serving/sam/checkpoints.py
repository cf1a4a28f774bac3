"""How a checkpoint file becomes a network although nobody vouches for the file.

A ``.pth`` file is a pickle: loading one can run code. So this module compares the digest of
a known file before it opens it; how every file is read: ``weights``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from serving.sam.architectures import (
    PIXEL_MEAN,
    PIXEL_STD,
    Architecture,
    infer_architecture,
)
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.errors import CheckpointError
from serving.sam.families.family import Family
from serving.sam.families.table import SAM, choose_family, find_family
from serving.sam.known_checkpoints import (
    CHECKPOINTS,
    CheckpointEntry,
    find_digest,
    find_entry,
)
from serving.sam.weights import check_start, fitting_weights, read_weights

if TYPE_CHECKING:
    import torch
    from segment_anything.modeling import Sam

log = logging.getLogger("sam")
_BLOCK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCheckpoint:
    """A network with its weights, and where they come from.

    Attributes:
        sam: the official network, float32, evaluation mode, on the CPU.
        name: the known checkpoint's name, or the file's.
        sha256: digest of the file.
        architecture: its sizes.
        family: how it is fed and read.
        automatic: thresholds that suit it.
    """

    sam: Sam
    name: str
    sha256: str
    architecture: Architecture
    automatic: AutomaticSettings
    family: Family = SAM


def file_sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Return the hex SHA-256 of a file, read in blocks; ``progress`` gets each block's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            if progress:
                progress(len(block))
    return digest.hexdigest()


def load_checkpoint(
    path: str | Path, entry: CheckpointEntry | None = None, family: str = ""
) -> LoadedCheckpoint:
    """Return the network of a checkpoint file.

    Args:
        path: the file, or the name of a known checkpoint that is on this machine: ``vit_tiny``,
            which this package carries, or one that ``sam-vertex checkpoint fetch`` has fetched.
        entry: what the file must be; by default the known checkpoint of the same file name, or of
            the same digest, and any other file is what its weights' shapes say.
        family: of the network, by its name in ``families.table``; by default what is known of the
            file, or the one whose networks have such shapes.

    Raises:
        CheckpointError: missing, empty, truncated, an HTML page, another digest than published,
            a pickle with code, not a state dict, not SAM, of another architecture or family, of
            one of several families and none is named, or not finite.
    """
    if family:
        find_family(family)
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
    entry = entry or find_digest(digest)
    weights = read_weights(path)
    try:
        architecture = infer_architecture(weights)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if entry is not None and architecture != entry.architecture:
        raise CheckpointError(f"{path}: the weights are not of the {entry.name} architecture")
    name = entry.name if entry else path.stem
    if entry is None:
        chosen = choose_family(architecture, family, str(path))
        said = "as you say" if family else "the only one with such weights"
        log.info("%s: of the family %s, %s", path, chosen.name, said)
    elif family and family != entry.family:
        raise CheckpointError(f"{path}: {name} is of the family {entry.family}, not {family}")
    else:
        chosen = find_family(entry.family)
    sam = _fill(architecture, weights, path)
    automatic = entry.automatic if entry else AutomaticSettings()
    return LoadedCheckpoint(
        sam=sam,
        name=name,
        sha256=digest,
        architecture=architecture,
        automatic=automatic,
        family=chosen,
    )


def _file_of(name_or_path: str | Path) -> Path:
    """The file that a name stands for; a file of that name goes first."""
    path = Path(name_or_path)
    entry = CHECKPOINTS.get(str(name_or_path))
    if entry is None or path.is_file():
        return path
    if not entry.path_here.is_file():
        raise CheckpointError(
            f"{entry.name} is not on this machine ({entry.path_here} is missing); fetch it with "
            f"'sam-vertex checkpoint fetch {entry.name}', or name a checkpoint file"
        )
    return entry.path_here


def check_file(path: Path, entry: CheckpointEntry | None) -> None:
    """Refuse what is certainly no checkpoint, by its size and first bytes alone.

    Raises:
        CheckpointError: missing, a folder, empty, of another kind, or shorter than published.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint file")
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint file, found a folder")
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"{path}: the checkpoint file is empty (0 bytes); fetch it again")
    check_start(path)
    if entry is not None and size < entry.size_bytes:
        raise CheckpointError(
            f"{path}: truncated: {entry.name} has {entry.size_bytes} bytes, this file {size}; "
            "fetch it again"
        )


def _fill(architecture: Architecture, weights: Mapping[str, torch.Tensor], path: Path) -> Sam:
    import torch

    weights = {name: value for name, value in weights.items() if not architecture.is_unused(name)}
    try:
        # "meta" allocates nothing and draws nothing at random; the file's own tensors move in.
        with torch.device("meta"):
            sam = architecture.build()
    except (AssertionError, ArithmeticError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: the shapes of the weights imply a network that cannot be built: {error}"
        ) from error
    try:
        sam.load_state_dict(fitting_weights(weights, sam.state_dict()), assign=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    sam.pixel_mean = torch.tensor(PIXEL_MEAN).view(-1, 1, 1)
    sam.pixel_std = torch.tensor(PIXEL_STD).view(-1, 1, 1)
    return sam.requires_grad_(False).eval()
