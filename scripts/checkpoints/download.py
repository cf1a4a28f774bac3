"""Fetch a published file over HTTP: resumed, verified, and only then given its name."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import requests
from filelock import FileLock, Timeout
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from scripts.terminal.progress import Meter
from serving.sam.checkpoints import file_sha256
from serving.sam.known_checkpoints import CheckpointEntry

_BLOCK_BYTES = 1 << 20
_TIMEOUT_SECONDS = (10, 60)  # to connect, and between two pieces of the reply
_RETRY = Retry(
    total=3,
    backoff_factor=0.5,
    backoff_jitter=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    raise_on_status=False,  # the last reply tells the reason
)


class DownloadError(Exception):
    """The file could not be fetched.

    Attributes:
        hint: the way out.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def download(entry: CheckpointEntry, target: Path, bar: Meter) -> None:
    """Fetch a checkpoint to ``target`` unless the right file is there already.

    A broken download stays beside the target as ``*.partial`` and the next call goes on from it.
    A second call for the same checkpoint waits for the first.

    Raises:
        DownloadError: no connection, a refusal, or a digest that does not fit.
        OSError: the target cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(entry, bar):
        if target.exists() and _is_right(target, entry):
            bar.update(entry.size_bytes, entry.size_bytes)
            return
        partial = target.with_name(target.name + ".partial")
        _fetch(entry, partial, bar)
        if not _is_right(partial, entry):
            partial.unlink()
            raise DownloadError(
                f"{entry.url}: what arrived does not have the published size and SHA-256 of "
                f"{entry.name}; it was deleted",
                hint="try again; a proxy may have answered in the publisher's place",
            )
        partial.replace(target)


@contextlib.contextmanager
def _one_at_a_time(entry: CheckpointEntry, bar: Meter) -> Iterator[None]:
    """Wait until no other process fetches this checkpoint."""
    # In the cache, since the lock file stays: removing it would let two processes in.
    path = entry.path_here.with_name(f"{entry.file_name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        bar.update(0, entry.size_bytes, "waiting for another fetch of it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_right(path: Path, entry: CheckpointEntry) -> bool:
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
    offline = (
        "without network use the embedded checkpoint: --checkpoint vit_tiny; or copy "
        f"{entry.file_name} here from another machine and give its path"
    )
    try:
        with requests.Session() as session:
            for scheme in ("https://", "http://"):
                session.mount(scheme, HTTPAdapter(max_retries=_RETRY))
            reply = _request(session, str(entry.url), have)
            if reply.status_code not in (200, 206):
                raise DownloadError(
                    f"{entry.url}: the server answered {reply.status_code} {reply.reason}",
                    hint="try again later; " + offline,
                )
            if reply.status_code == 200:
                have = 0  # the whole file: start again
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


def _request(session: requests.Session, url: str, have: int) -> requests.Response:
    """Ask for what is missing, or for the whole file where the server sends another part."""
    headers = {"Accept-Encoding": "identity"}  # a part of a compressed reply could not be resumed
    if have:
        part = {**headers, "Range": f"bytes={have}-"}
        reply = session.get(url, headers=part, stream=True, timeout=_TIMEOUT_SECONDS)
        content_range = reply.headers.get("Content-Range", "")
        if reply.status_code != 206 or content_range.startswith(f"bytes {have}-"):
            return reply
        reply.close()
    return session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS)
