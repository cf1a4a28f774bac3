"""What really exists in the storage stand-in: buckets, objects, and placeholders of folders."""

from __future__ import annotations

from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.services.identity import Values
from scripts.rehearsal.google_provider.services.refusals import PLACEHOLDER

BUCKET, FOLDER, OBJECT = (
    "google_storage_bucket",
    "google_storage_managed_folder",
    "google_storage_bucket_object",
)


class StoredObjects:
    """Keeps the storage stand-in in step with the resources; other types are none of its business.

    Args:
        objects: the storage stand-in; with ``None`` buckets exist in the world alone.
    """

    def __init__(self, objects: Objects | None) -> None:
        self._objects = objects

    def exists(self, type_name: str, values: Values) -> bool:
        """Whether a resource still exists there: somebody may have deleted it."""
        if self._objects is None:
            return True
        if type_name == BUCKET:
            return self._objects.has_bucket(values["name"])
        if type_name in (FOLDER, OBJECT):
            return self._objects.has(values["bucket"], _object_name(values["name"]))
        return True

    def write(self, type_name: str, values: Values) -> None:
        """Make or overwrite what a resource is there."""
        if self._objects is None:
            return
        if type_name == BUCKET and not self._objects.has_bucket(values["name"]):
            self._objects.create_bucket(values["name"], values["project"])
        elif type_name == FOLDER:
            self._objects.put(values["bucket"], _object_name(values["name"]), b"")
        elif type_name == OBJECT:
            content = str(values["content"] or "").encode()
            self._objects.put(values["bucket"], values["name"], content)

    def delete(self, type_name: str, values: Values) -> None:
        """Delete what a resource is there; of a bucket everything in it."""
        if self._objects is None:
            return
        if type_name == BUCKET:
            self._objects.delete_bucket(values["name"])
        elif type_name in (FOLDER, OBJECT):
            self._objects.delete(values["bucket"], _object_name(values["name"]))


def _object_name(name: str) -> str:
    """The object that stands for an object, or for a managed folder.

    A managed folder is no object; the stand-in has only objects, and none whose name ends in "/".
    """
    return name + PLACEHOLDER if name.endswith("/") else name
