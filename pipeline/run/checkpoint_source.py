"""Where a run's checkpoint comes from: this package, a local file, or a bucket."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from serving.sam.checkpoints import CheckpointEntry, check_file, find_entry
from serving.sam.errors import CheckpointError
from serving.storage import SCHEME, open_folder


def _embedded(place: str) -> Path | None:
    entry = find_entry(place)
    return entry.embedded_path if entry is not None and place == entry.name else None


def _split(place: str) -> tuple[str, str]:
    if _embedded(place):
        place = str(_embedded(place))
    elif "/" not in place and find_entry(place) and not Path(place).exists():
        raise CheckpointError(
            f"{place}: a known checkpoint, but not on this machine; fetch it first: "
            f"sam-vertex checkpoint fetch {place}"
        )
    if place.startswith(SCHEME):
        parent, _, name = place.rpartition("/")
        return parent, name
    path = Path(place).expanduser().absolute()
    return str(path.parent), path.name


def checkpoint_identity(place: str) -> str:
    """Return what tells one checkpoint from another: a digest of its content.

    Raises:
        CheckpointError: there is no such checkpoint.
        StorageError: it cannot be read.
    """
    parent, name = _split(place)
    folder = open_folder(parent)
    if not folder.exists(name):
        raise CheckpointError(
            f"{place}: no such checkpoint; give a file, a gs:// URI or one of "
            "vit_tiny, vit_b, vit_l, vit_h"
        )
    return folder.digest(name)


def check_checkpoint(place: str) -> None:
    """Refuse early what is certainly no usable checkpoint, without loading it.

    Raises:
        CheckpointError: missing, empty, truncated or an HTML page.
        StorageError: it cannot be read.
    """
    checkpoint_identity(place)
    if not place.startswith(SCHEME):
        parent, name = _split(place)
        check_file(Path(parent, name), find_entry(name))


@contextlib.contextmanager
def local_checkpoint(place: str) -> Iterator[tuple[Path, CheckpointEntry | None]]:
    """Yield the checkpoint as a local file, and what is known of it; a download is cleaned up."""
    parent, name = _split(place)
    entry = find_entry(name)
    if not place.startswith(SCHEME):
        yield Path(parent, name), entry
        return
    with tempfile.TemporaryDirectory(prefix="sam-checkpoint-") as scratch:
        path = Path(scratch, name)
        open_folder(parent).download(name, path)
        yield path, entry
