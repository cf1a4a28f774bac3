"""A published checkpoint, fetched onto this machine by its name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from scripts.checkpoints.download import DownloadError, download
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import meter
from serving.sam.known_checkpoints import CHECKPOINTS, find_entry


@dataclasses.dataclass(frozen=True, slots=True)
class FetchedCheckpoint:
    """A checkpoint on this machine.

    Attributes:
        name: its known name.
        path: its file.
        embedded: whether this package brings it, so that nothing was fetched.
    """

    name: str
    path: Path
    embedded: bool = False


def fetch_checkpoint(name: str, to: Path | None) -> FetchedCheckpoint:
    """Download a checkpoint, resuming an earlier try, and verify it.

    Args:
        name: of a known checkpoint.
        to: file or folder; ``None`` for this user's cache.

    Raises:
        OperatorError: the name is unknown, the download failed, or the file cannot be written.
    """
    entry = find_entry(name)
    if entry is None:
        raise OperatorError(
            f"no such checkpoint: {name!r}", hint=f"known are {', '.join(CHECKPOINTS)}"
        )
    if entry.embedded_path is not None:
        return FetchedCheckpoint(entry.name, entry.embedded_path, embedded=True)
    target = entry.path_here if to is None else to / entry.file_name if to.is_dir() else to
    try:
        with meter(f"fetching {entry.file_name}", unit="bytes") as bar:
            download(entry, target, bar)
    except DownloadError as error:
        raise OperatorError(str(error), hint=error.hint, exit_code=CLOUD) from error
    except OSError as error:
        raise OperatorError(
            f"cannot write {target}: {error.strerror or error}",
            hint="choose another place with --to",
        ) from error
    return FetchedCheckpoint(entry.name, target)
