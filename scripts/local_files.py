"""Files that a command leaves on this machine appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its target and rename it, so that no reader meets half of it.

    Args:
        path: the file; the folders above it are made. A link is followed, and what is no file, such
            as ``/dev/stdout``, is simply written to.
        content: all of it.

    Raises:
        OSError: the file cannot be written; what was there before is still there.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner reads
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The process's mask of permissions, which can be read by setting it only."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
