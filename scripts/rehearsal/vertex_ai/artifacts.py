"""What a model is made of: an image of the registry, and artifacts that the service copies."""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import Any

from scripts.rehearsal.cloud_storage.access import MANAGED_COPIES
from scripts.rehearsal.vertex_ai.errors import ApiError, failed_precondition
from scripts.rehearsal.vertex_ai.state import Json, State

IMAGE = re.compile(
    r"(?P<region>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/(?P<repository>[^/]+)/"
    r"(?P<image>[^@:]+)(@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w.-]+))?"
)


class Artifacts:
    """The registry's images and the bucket's objects.

    Args:
        state: the world, in which images are listed under ``images`` as pushed.
        client: of the storage stand-in; a ``google.cloud.storage.Client``.
    """

    def __init__(self, state: State, client: Any) -> None:
        self._state, self._client = state, client

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

    def check_image(self, uri: str, region: str) -> None:
        """Refuse an image that does not exist or lies in another region."""
        self.image(uri)
        match = IMAGE.fullmatch(uri)
        if match is not None and match["region"] != region:
            raise failed_precondition(f"The image must be in region {region}, got {uri}.")

    def check_folder(self, uri: str) -> None:
        """Refuse artifacts that do not exist."""
        if not uri.startswith("gs://"):
            raise ApiError(400, f"artifact_uri {uri!r} is not a Cloud Storage directory.")
        if not self._blobs(uri):
            raise failed_precondition(f"Path {uri} contains no objects.")

    def _blobs(self, uri: str) -> list[Any]:
        from google.api_core.exceptions import NotFound

        bucket, _, prefix = uri.removeprefix("gs://").partition("/")
        try:
            listed = self._client.list_blobs(bucket, prefix=prefix.rstrip("/") + "/")
            return [blob for blob in listed if not blob.name.endswith(".managed-folder")]
        except NotFound:
            return []

    def copy(self, uri: str, name: str) -> str:
        """Copy a directory to the service's own bucket and return the URI of the copy."""
        if not uri:
            return ""
        from google.api_core.exceptions import Conflict

        with contextlib.suppress(Conflict):
            self._client.create_bucket(MANAGED_COPIES)
        target = self._client.bucket(MANAGED_COPIES)
        folder = hashlib.sha256(name.encode()).hexdigest()[:16]
        prefix = uri.removeprefix("gs://").partition("/")[2].rstrip("/") + "/"
        for blob in self._blobs(uri):
            copy = target.blob(f"{folder}/{blob.name.removeprefix(prefix)}")
            copy.upload_from_string(blob.download_as_bytes())
        return f"gs://{MANAGED_COPIES}/{folder}"

    def remove_copy(self, uri: str) -> None:
        """Delete a copy; the bucket goes with the last."""
        if not uri:
            return
        for blob in self._blobs(uri):
            blob.delete()
        if not list(self._client.list_blobs(MANAGED_COPIES, max_results=1)):
            self._client.bucket(MANAGED_COPIES).delete()
