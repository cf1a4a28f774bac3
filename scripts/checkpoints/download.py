"""Fetch a published file over HTTP: resumed, verified, and only then given its name."""

from __future__ import annotations

import shutil
from pathlib import Path

import requests

from scripts.terminal.progress import Meter
from serving.sam.checkpoints import CheckpointEntry, file_sha256

_BLOCK_BYTES = 1 << 20
_TIMEOUT_SECONDS = (10, 60)  # to connect, and between two pieces of the reply


class DownloadError(Exception):
    """The file could not be fetched.

    Attributes:
        hint: the way out.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def download(entry: CheckpointEntry, target: Path, bar: Meter) -> None:
    """Fetch a checkpoint to ``target``; what is there already and right is left alone.

    A broken download stays beside the target as ``*.partial`` and the next call goes on from it.

    Raises:
        DownloadError: no connection, a refusal, or a digest that does not fit.
        OSError: the target cannot be written.
    """
    if target.exists() and _verified(target, entry):
        bar.update(entry.size_bytes, entry.size_bytes)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    _fetch(entry, partial, bar)
    if not _verified(partial, entry):
        partial.unlink()
        raise DownloadError(
            f"{entry.url}: what arrived does not have the published size and SHA-256 of "
            f"{entry.name}; it was deleted",
            hint="try again; a proxy may have answered in the publisher's place",
        )
    partial.replace(target)


def _verified(path: Path, entry: CheckpointEntry) -> bool:
    return path.stat().st_size == entry.size_bytes and file_sha256(path) == entry.sha256


def _fetch(entry: CheckpointEntry, partial: Path, bar: Meter) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    if have >= entry.size_bytes:
        return  # complete, or wrong: the digest tells
    missing = entry.size_bytes - have
    if shutil.disk_usage(partial.parent).free < missing:
        raise DownloadError(
            f"{partial.parent}: {missing / 1e6:.0f} MB are to come and less is free",
            hint="free some room, or choose another place with --to",
        )
    headers = {"Range": f"bytes={have}-"} if have else {}
    offline = (
        "without network use the embedded checkpoint: --checkpoint vit_tiny; or copy "
        f"{entry.file_name} here from another machine and give its path"
    )
    try:
        with requests.get(
            str(entry.url), headers=headers, stream=True, timeout=_TIMEOUT_SECONDS
        ) as reply:
            if reply.status_code not in (200, 206):
                raise DownloadError(
                    f"{entry.url}: the server answered {reply.status_code} {reply.reason}",
                    hint="try again later; " + offline,
                )
            if reply.status_code == 200:
                have = 0  # the server does not resume: start again
            with partial.open("ab" if have else "wb") as file:
                for block in reply.iter_content(_BLOCK_BYTES):
                    file.write(block)
                    have += len(block)
                    bar.update(have, entry.size_bytes)
    except requests.RequestException as error:
        reason = "no connection" if have == 0 else f"the connection broke after {have} bytes"
        raise DownloadError(
            f"{entry.url}: {reason} ({type(error).__name__})",
            hint=("run the same command to resume; " if have else "") + offline,
        ) from error
