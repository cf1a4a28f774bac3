"""The checkpoint that ``AIP_STORAGE_URI`` points at."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from serving.errors import ArtifactsError
from serving.storage import SCHEME, Folder, StorageError, open_folder

SUFFIXES = (".pth", ".pt", ".safetensors")


def choose_checkpoint(files: Iterable[str], checkpoint: str, folder_uri: str) -> str:
    """Return the name of the checkpoint among a folder's files.

    Args:
        files: names of the folder's files.
        checkpoint: file name to choose; empty where the folder holds a single checkpoint.
        folder_uri: the folder, for messages.

    Raises:
        ArtifactsError: the folder lacks the named checkpoint, or holds none or several.
    """
    candidates = sorted(name for name in files if name.endswith(SUFFIXES) and "/" not in name)
    if checkpoint:
        if checkpoint not in candidates:
            listed = ", ".join(candidates) or "-"
            raise ArtifactsError(f"{folder_uri}: no {checkpoint!r} there, found {listed}")
        return checkpoint
    if not candidates:
        raise ArtifactsError(
            f"{folder_uri}: no checkpoint ({', '.join(SUFFIXES)}) there; upload one with "
            "'sam-vertex checkpoint upload'"
        )
    if len(candidates) > 1:
        raise ArtifactsError(
            f"{folder_uri}: several checkpoints ({', '.join(candidates)}); name one with "
            "SERVING_CHECKPOINT"
        )
    return candidates[0]


@contextlib.contextmanager
def checkpoint_file(artifacts_uri: str, checkpoint: str) -> Iterator[Path]:
    """Yield the checkpoint as a local file; remove a downloaded copy afterwards.

    Args:
        artifacts_uri: ``gs://`` folder, local folder or local file.
        checkpoint: file name of the checkpoint, where a folder holds several.

    Raises:
        ArtifactsError: the URI holds no checkpoint, or it cannot be read.
    """
    if not artifacts_uri:
        raise ArtifactsError("AIP_STORAGE_URI is empty: upload the model with its artifact_uri")
    if not artifacts_uri.startswith(SCHEME) and not Path(artifacts_uri).is_dir():
        if not Path(artifacts_uri).is_file():
            raise ArtifactsError(f"{artifacts_uri}: no such file or folder")
        yield Path(artifacts_uri)
        return
    try:
        folder = open_folder(artifacts_uri)
        files = [file.name for file in folder.files(nested=False)]
    except StorageError as error:
        raise ArtifactsError(f"{artifacts_uri}: cannot be listed ({error})") from error
    name = choose_checkpoint(files, checkpoint, artifacts_uri)
    if folder.is_local:
        yield Path(folder.uri_of(name))
        return
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as scratch:
        path = Path(scratch, name)
        _download(folder, name, path)
        yield path


def _download(folder: Folder, name: str, path: Path) -> None:
    try:
        folder.download(name, path)
    except StorageError as error:
        uri = folder.uri_of(name)
        raise ArtifactsError(f"{uri}: cannot be downloaded ({error})") from error
