"""The checkpoint that ``AIP_STORAGE_URI`` points at."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from serving.buckets import SCHEME, download, list_folder
from serving.errors import ArtifactsError

SUFFIXES = (".pth", ".pt")


def choose_checkpoint(sizes: dict[str, int], wanted: str, place: str) -> str:
    """Return the name of the checkpoint among a folder's files.

    Args:
        sizes: file name to bytes.
        wanted: the one to take; empty where there is only one.
        place: the folder, for messages.

    Raises:
        ArtifactsError: there is none, or not exactly one and none was named.
    """
    found = sorted(name for name in sizes if name.endswith(SUFFIXES) and "/" not in name)
    if wanted:
        if wanted not in found:
            raise ArtifactsError(f"{place}: no {wanted!r} there, found {', '.join(found) or '-'}")
        return wanted
    if not found:
        raise ArtifactsError(
            f"{place}: no checkpoint ({' or '.join(SUFFIXES)}) there; upload one with "
            "'sam-vertex checkpoint upload'"
        )
    if len(found) > 1:
        raise ArtifactsError(
            f"{place}: several checkpoints ({', '.join(found)}); name one with SERVING_CHECKPOINT"
        )
    return found[0]


@contextlib.contextmanager
def checkpoint_file(artifacts_uri: str, wanted: str) -> Iterator[Path]:
    """Yield the checkpoint as a local file; a downloaded copy is removed afterwards.

    Args:
        artifacts_uri: ``gs://`` folder, local folder or local file.
        wanted: file name of the checkpoint, where a folder holds several.

    Raises:
        ArtifactsError: nothing there, or it cannot be read.
    """
    if not artifacts_uri:
        raise ArtifactsError("AIP_STORAGE_URI is empty: upload the model with its artifact_uri")
    if not artifacts_uri.startswith(SCHEME):
        path = Path(artifacts_uri)
        if path.is_dir():
            sizes = {file.name: file.stat().st_size for file in path.iterdir() if file.is_file()}
            path = path / choose_checkpoint(sizes, wanted, artifacts_uri)
        if not path.is_file():
            raise ArtifactsError(f"{artifacts_uri}: no such file or folder")
        yield path
        return
    name = choose_checkpoint(list_folder(artifacts_uri), wanted, artifacts_uri)
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
        path = Path(folder, name)
        download(f"{artifacts_uri.rstrip('/')}/{name}", path)
        yield path
