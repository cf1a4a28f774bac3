"""Which checkpoints there are, and how one becomes a network without being trusted.

A ``.pth`` file is a pickle: loading one can run code. So a known file's digest is compared before
it is opened, and every file is read with ``weights_only=True``, which refuses anything but tensors
(https://pytorch.org/docs/stable/generated/torch.load.html).
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
    VIT_B,
    VIT_H,
    VIT_L,
    VIT_TINY,
    SamArchitecture,
    infer_architecture,
)
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from segment_anything.modeling import Sam

_BLOCK_BYTES = 1 << 20
_ASSETS = Path(__file__).parent / "assets"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointEntry:
    """One known checkpoint.

    Attributes:
        name: what operators call it.
        file_name: the published file's name.
        size_bytes: the file's length.
        sha256: the file's digest, hex.
        url: where it can be fetched; ``None`` where it lies in this package.
        architecture: the network it belongs to.
        automatic: thresholds that suit its scores.
        summary: one line for a listing.
    """

    name: str
    file_name: str
    size_bytes: int
    sha256: str
    url: str | None
    architecture: SamArchitecture
    automatic: AutomaticSettings = dataclasses.field(default_factory=AutomaticSettings)
    summary: str

    @property
    def embedded_path(self) -> Path | None:
        """Where the file lies in this package, or ``None``."""
        return _ASSETS / self.file_name if self.url is None else None


_META = "https://dl.fbaipublicfiles.com/segment_anything/"
EMBEDDED = "vit_tiny"

# Sizes and digests of Meta's files: facebookresearch/segment-anything, README; the file names end
# in the first six digits of the MD5.
CHECKPOINTS: dict[str, CheckpointEntry] = {
    entry.name: entry
    for entry in (
        CheckpointEntry(
            name="vit_tiny",
            file_name="sam_vit_tiny.pth",
            size_bytes=4_374_927,
            sha256="a50962d8fb23ef6bce0c9c033176a4dffd502e54533d984e4522e8c8fd4abffe",
            url=None,
            architecture=VIT_TINY,
            automatic=AutomaticSettings(
                points_per_side=16,
                points_per_batch=8,
                pred_iou_thresh=0.5,
                stability_score_thresh=0.75,
            ),
            summary="embedded, 2 M parameters: for demo, tests and rehearsal, not Meta's SAM",
        ),
        CheckpointEntry(
            name="vit_b",
            file_name="sam_vit_b_01ec64.pth",
            size_bytes=375_042_383,
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            url=_META + "sam_vit_b_01ec64.pth",
            architecture=VIT_B,
            summary="Meta's SAM with ViT-B, 91 M parameters",
        ),
        CheckpointEntry(
            name="vit_l",
            file_name="sam_vit_l_0b3195.pth",
            size_bytes=1_249_524_607,
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            url=_META + "sam_vit_l_0b3195.pth",
            architecture=VIT_L,
            summary="Meta's SAM with ViT-L, 308 M parameters",
        ),
        CheckpointEntry(
            name="vit_h",
            file_name="sam_vit_h_4b8939.pth",
            size_bytes=2_564_550_879,
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            url=_META + "sam_vit_h_4b8939.pth",
            architecture=VIT_H,
            summary="Meta's SAM with ViT-H, 636 M parameters; the most exact",
        ),
    )
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCheckpoint:
    """A network with its weights, and what is known of them.

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


def find_entry(name: str) -> CheckpointEntry | None:
    """Return the known checkpoint of that name or file name, or ``None``."""
    for entry in CHECKPOINTS.values():
        if name in (entry.name, entry.file_name):
            return entry
    return None


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

    # On "meta" nothing is allocated or drawn at random; the weights themselves move in.
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
