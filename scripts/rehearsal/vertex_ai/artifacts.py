"""What a model is made of: an image of the registry, and artifacts that the service copies."""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import Any

from scripts.rehearsal.api_errors import ApiError, failed_precondition
from scripts.rehearsal.cloud_storage.access import MANAGED_COPIES
from scripts.rehearsal.iam.callers import OPERATOR
from scripts.rehearsal.vertex_ai.permissions import Permissions
from scripts.rehearsal.vertex_ai.state import Json, State
from scripts.rehearsal.vertex_ai.storage_clients import StorageClients

IMAGE = re.compile(
    r"(?P<region>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/(?P<repository>[^/]+)/"
    r"(?P<image>[^@:]+)(@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w.-]+))?"
)


class Artifacts:
    """The registry's images and the bucket's objects.

    Args:
        state: the world, in which images are listed under ``images`` as pushed.
        clients: of the storage stand-in.
        permissions: who may pull an image.
    """

    def __init__(self, state: State, clients: StorageClients, permissions: Permissions) -> None:
        self._state, self._clients, self._permissions = state, clients, permissions

    def image(self, uri: str) -> Json:
        """A pushed image: ``digest``, ``tags``, ``entrypoint``, and the ``tree`` of its files.

        Raises:
            ApiError: the URI is none of the registry, or nothing was pushed under it.
        """
        match = IMAGE.fullmatch(uri)
        if match is None:
            raise ApiError(400, f"Image URI {uri!r} is not of an Artifact Registry repository.")
        parts = (match["region"] + "-docker.pkg.dev", match["project"], match["repository"])
        name = "/".join((*parts, match["image"]))
        tag = match["tag"] or "latest"
        for image in self._state.read().get("images", {}).get(name, []):
            has_tag = not match["digest"] and tag in image["tags"]
            if image["digest"] == match["digest"] or has_tag:
                return dict(image)
        raise failed_precondition(f"Image {uri} was not found in the registry.")

    def check_image(self, uri: str, region: str, email: str) -> None:
        """Refuse an image that does not exist, lies in another region, or cannot be pulled.

        Args:
            uri: of the image.
            region: where it must be.
            email: of whoever pulls it.
        """
        self.image(uri)
        match = IMAGE.fullmatch(uri)
        if match is None:
            return
        if match["region"] != region:
            raise failed_precondition(f"The image must be in region {region}, got {uri}.")
        parts = (match["project"], match["region"], match["repository"])
        self._permissions.require_image(email, *parts, uri)

    def check_folder(self, uri: str, email: str) -> None:
        """Refuse artifacts that do not exist, or that whoever copies them may not read."""
        if not uri.startswith("gs://"):
            raise ApiError(400, f"artifact_uri {uri!r} is not a Cloud Storage directory.")
        if not self._blobs(uri, email):
            raise failed_precondition(f"Path {uri} contains no objects.")

    def _blobs(self, uri: str, email: str) -> list[Any]:
        from google.api_core.exceptions import Forbidden, NotFound

        bucket, _, prefix = uri.removeprefix("gs://").partition("/")
        client = self._clients.of(email)
        try:
            listed = client.list_blobs(bucket, prefix=prefix.rstrip("/") + "/")
            return [blob for blob in listed if not blob.name.endswith(".managed-folder")]
        except NotFound:
            return []
        except Forbidden as error:
            raise failed_precondition(f"{uri}: {error.message}") from error

    def copy(self, uri: str, name: str, email: str) -> str:
        """Copy a directory to the service's own bucket and return the URI of the copy.

        Args:
            uri: of the directory; empty for a model without one.
            name: of the model's version.
            email: of whoever reads the directory.
        """
        if not uri:
            return ""
        from google.api_core.exceptions import Conflict

        own = self._clients.own()
        with contextlib.suppress(Conflict):
            own.create_bucket(MANAGED_COPIES)
        target = own.bucket(MANAGED_COPIES)
        folder = hashlib.sha256(name.encode()).hexdigest()[:16]
        prefix = uri.removeprefix("gs://").partition("/")[2].rstrip("/") + "/"
        for blob in self._blobs(uri, email):
            copy = target.blob(f"{folder}/{blob.name.removeprefix(prefix)}")
            copy.upload_from_string(blob.download_as_bytes())
        return f"gs://{MANAGED_COPIES}/{folder}"

    def remove_copy(self, uri: str) -> None:
        """Delete a copy; the bucket goes with the last."""
        if not uri:
            return
        own = self._clients.own()
        for blob in self._blobs(uri, OPERATOR):
            blob.delete()
        if not list(own.list_blobs(MANAGED_COPIES, max_results=1)):
            own.bucket(MANAGED_COPIES).delete()
