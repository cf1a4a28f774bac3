"""A checkpoint of this machine, uploaded into a folder of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from scripts.cloud.uploads import upload_file
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import meter
from serving.sam.architectures import infer_architecture
from serving.sam.checkpoints import check_file
from serving.sam.errors import CheckpointError
from serving.sam.families.table import fitting_families
from serving.sam.known_checkpoints import find_entry
from serving.sam.weights import read_weights


@dataclasses.dataclass(frozen=True, slots=True)
class UploadedCheckpoint:
    """A checkpoint in the bucket.

    Attributes:
        folder_uri: the folder that holds it and nothing else, as an endpoint wants it.
        file_name: its name there.
        sent: whether it was sent; otherwise the same content was there.
    """

    folder_uri: str
    file_name: str
    sent: bool


def usable_checkpoint(name: str) -> Path:
    """Return the file of a checkpoint of this machine, checked.

    Args:
        name: a known name, or a file.

    Raises:
        OperatorError: a known checkpoint that is not here.
        CheckpointError: the file is no usable checkpoint.
    """
    entry = find_entry(name)
    path = Path(name)
    if not path.exists() and entry is not None:
        path = entry.path_here
        if not path.exists():
            raise OperatorError(
                f"{name} is not on this machine", hint=f"sam-vertex checkpoint fetch {name}"
            )
    check_file(path, find_entry(path.name))
    return path


def possible_families(path: Path) -> list[str]:
    """The families that somebody's own weights may be of; a server asks which where it is several.

    Raises:
        CheckpointError: the file holds no weights, or those of no network that the engine knows.
    """
    entry = find_entry(path.name)
    if entry is not None:
        return [entry.family]
    try:
        return fitting_families(infer_architecture(read_weights(path)))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def upload_checkpoint(path: Path, parent_uri: str) -> UploadedCheckpoint:
    """Upload a checkpoint.

    Args:
        path: its file; :func:`usable_checkpoint` has checked it.
        parent_uri: ``gs://`` folder; the checkpoint gets a folder of its own below it.

    Raises:
        OperatorError: the bucket cannot be written.
    """
    folder_uri = f"{parent_uri.rstrip('/')}/{path.stem}"
    with meter(f"uploading {path.name}", unit="bytes") as bar:
        sent = upload_file(path, f"{folder_uri}/{path.name}", bar)
    return UploadedCheckpoint(folder_uri, path.name, sent)
