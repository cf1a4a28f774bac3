"""Where a run's checkpoint comes from: this package, a local file, or a bucket."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from serving.sam.checkpoints import check_file
from serving.sam.errors import CheckpointError
from serving.sam.known_checkpoints import CheckpointEntry, find_entry
from serving.storage import Folder, open_parent


def _open(checkpoint: str) -> tuple[Folder, str]:
    """The folder that holds a checkpoint, and the checkpoint's name there."""
    entry = find_entry(checkpoint)
    if entry is not None and entry.name == checkpoint and entry.embedded_path:
        return open_parent(str(entry.embedded_path))
    if "/" not in checkpoint and entry is not None and not Path(checkpoint).exists():
        raise CheckpointError(
            f"{checkpoint}: a known checkpoint, but not on this machine; fetch it first: "
            f"sam-vertex checkpoint fetch {checkpoint}"
        )
    return open_parent(checkpoint)


def checkpoint_identity(checkpoint: str) -> str:
    """Return the digest of a checkpoint's content.

    Args:
        checkpoint: a file, a ``gs://`` URI, or the name of the embedded one.

    Raises:
        CheckpointError: there is no such checkpoint.
        StorageError: it cannot be read.
    """
    folder, name = _open(checkpoint)
    if not folder.exists(name):
        raise CheckpointError(
            f"{checkpoint}: no such checkpoint; give a file, a gs:// URI or one of "
            "vit_tiny, mobile_sam, vit_b, vit_l, vit_h"
        )
    return folder.digest(name)


def check_checkpoint(checkpoint: str) -> None:
    """Refuse what is certainly no usable checkpoint, without loading it.

    Raises:
        CheckpointError: missing, empty, truncated or an HTML page.
        StorageError: it cannot be read.
    """
    checkpoint_identity(checkpoint)
    folder, name = _open(checkpoint)
    if folder.is_local:
        check_file(Path(folder.uri_of(name)), find_entry(name))


@contextlib.contextmanager
def local_checkpoint(checkpoint: str) -> Iterator[tuple[Path, CheckpointEntry | None]]:
    """Yield the checkpoint as a local file, and what is known of it; remove a downloaded copy.

    Raises:
        CheckpointError: there is no such checkpoint.
        StorageError: it cannot be read.
    """
    folder, name = _open(checkpoint)
    entry = find_entry(name)
    if folder.is_local:
        yield Path(folder.uri_of(name)), entry
        return
    with tempfile.TemporaryDirectory(prefix="sam-checkpoint-") as scratch:
        path = Path(scratch, name)
        folder.download(name, path)
        yield path, entry
