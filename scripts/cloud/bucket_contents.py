"""What a bucket holds before it is destroyed: the data of its user, and all versions of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

from serving.storage.client import bucket_errors, storage_client

COUNTED = 10_000  # objects; whoever has more needs no exact number
WORKERS = 8  # deletions at a time; the client keeps ten connections


@dataclasses.dataclass(slots=True)
class FolderContents:
    """What lies in one folder of a bucket.

    Attributes:
        objects: how many.
        size_bytes: all of them together.
    """

    objects: int = 0
    size_bytes: int = 0


def user_data(bucket_name: str, ours: Sequence[str]) -> dict[str, FolderContents]:
    """Count the objects that somebody would miss, by the folder they lie in.

    Empty objects are none: consoles and mounts make them in place of folders. Earlier versions are
    none either: somebody has deleted or overwritten them.

    Args:
        bucket_name: the bucket; one that does not exist holds nothing.
        ours: names of folders in it that are not the user's, each with a slash at its end.

    Returns:
        At most :data:`COUNTED` objects; empty where there are none.

    Raises:
        BucketError: it cannot be listed.
    """
    folders: dict[str, FolderContents] = {}
    counted = 0
    for blob in _listed(bucket_name, versions=False):
        if not blob.size or blob.name.startswith(tuple(ours)):
            continue
        folder = folders.setdefault(
            blob.name.rpartition("/")[0].partition("/")[0], FolderContents()
        )
        folder.objects += 1
        folder.size_bytes += int(blob.size)
        counted += 1
        if counted == COUNTED:
            break
    return folders


def stored(bucket_name: str) -> tuple[FolderContents, FolderContents]:
    """Count the objects of a bucket, and their earlier versions, which bill as they do.

    A version is an earlier one where it has a ``timeDeleted`` (Cloud Storage's page "Objects", the
    resource of the JSON API).

    Raises:
        BucketError: it cannot be listed; ``missing`` where there is none.
    """
    objects, earlier = FolderContents(), FolderContents()
    with bucket_errors(f"gs://{bucket_name}"):
        for blob in storage_client().list_blobs(
            bucket_name, versions=True, fields="items(name,size,timeDeleted),nextPageToken"
        ):
            counted = objects if blob._properties.get("timeDeleted") is None else earlier
            counted.objects += 1
            counted.size_bytes += int(blob.size or 0)
    return objects, earlier


def clear(bucket_name: str) -> int:
    """Delete every version of every object of a bucket; return how many there were.

    Raises:
        BucketError: one of them cannot be deleted.
    """
    uri = f"gs://{bucket_name}"

    def delete(blob: Any) -> None:
        from google.api_core.exceptions import NotFound

        with bucket_errors(f"{uri}/{blob.name}"):
            try:
                blob.bucket.delete_blob(blob.name, generation=blob.generation)
            except NotFound:
                return  # somebody was faster

    with futures.ThreadPoolExecutor(WORKERS) as pool:
        return sum(1 for _ in pool.map(delete, _listed(bucket_name, versions=True)))


def _listed(bucket_name: str, *, versions: bool) -> Iterator[Any]:
    from google.api_core.exceptions import NotFound

    with bucket_errors(f"gs://{bucket_name}"):
        try:
            yield from storage_client().list_blobs(
                bucket_name,
                versions=versions,
                fields="items(name,size,generation),nextPageToken",
            )
        except NotFound:
            return
