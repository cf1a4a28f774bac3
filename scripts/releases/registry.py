"""The model's versions in Vertex's model registry: upload, find, alias."""

from __future__ import annotations

import json
import time
from concurrent import futures
from typing import Any

from scripts.cloud.vertex_sdk import CALL_SECONDS, patiently, poll_seconds
from scripts.releases.checkpoints import StoredCheckpoint
from scripts.releases.errors import release_error
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import Report

UPLOAD_SECONDS = 3600.0
LIVE, PREVIOUS = "live", "previous"
CONTENT_PREFIX = "r-"  # of the alias that ReleaseRequest.alias makes


class VersionRegistry:
    """The versions of one model.

    Args:
        sdk: the initialised ``google.cloud.aiplatform``.
        request: names the model, and what a new version is made of.
        report: prints a line of progress.
    """

    def __init__(self, sdk: Any, request: ReleaseRequest, report: Report) -> None:
        self._sdk, self._request, self._report = sdk, request, report

    def _aliases(self) -> Any:
        return self._sdk.models.ModelRegistry(self._request.model_name)

    def find(self, alias: str) -> Any | None:
        """The version with an alias, or ``None``."""
        from google.api_core.exceptions import NotFound

        try:
            return patiently(lambda: self._sdk.Model(f"{self._request.model_name}@{alias}"))
        except NotFound:
            return None

    def versions(self) -> list[Any]:
        """All versions, oldest first; none where there is no model yet."""
        from google.api_core.exceptions import NotFound

        try:
            versions = list(patiently(self._aliases().list_versions))
        except NotFound:
            return []
        return sorted(versions, key=lambda version: int(version.version_id))

    def upload(self, alias: str, checkpoint: StoredCheckpoint) -> Any:
        """Make a version of the request's image and a checkpoint; return it.

        Raises:
            OperatorError: Vertex refuses it.
        """
        request = self._request
        first = not self.versions()
        description = {
            "image": request.image_digest,
            "checkpoint": checkpoint.file_name,
            "checkpoint_digest": checkpoint.digest,
            "serving": request.serving,
        }
        self._report(
            f"uploading {checkpoint.file_name} with {request.image_digest[:19]} as {alias}"
        )
        parent = {"model_id": request.model_id} if first else {"parent_model": request.model_name}
        tries = 0

        def upload() -> Any:
            nonlocal tries
            tries += 1
            if tries > 1 and (made := self.find(alias)) is not None:
                return made  # by an earlier try, whose answer was lost
            try:
                return self._sdk.Model.upload(
                    **parent,
                    display_name=request.model_id,
                    serving_container_image_uri=request.image,
                    artifact_uri=checkpoint.folder + "/",
                    serving_container_predict_route="/predict",
                    serving_container_health_route="/health",
                    serving_container_ports=[8080],
                    serving_container_environment_variables=request.environment(
                        checkpoint.file_name
                    ),
                    is_default_version=first,
                    version_aliases=[alias],
                    version_description=json.dumps(description),
                    labels={"app": "sam-vertex"},
                    encryption_spec_key_name=request.kms_key or None,
                    upload_request_timeout=CALL_SECONDS,
                )
            except futures.TimeoutError:
                return self._uploaded(alias)

        try:
            return patiently(upload)
        except Exception as error:
            raise release_error("the model cannot be uploaded", error) from error

    def _uploaded(self, alias: str) -> Any:
        """Wait for an upload that goes on at Google.

        The SDK stops waiting after the 15 minutes of api_core's default (``lro.result()`` in
        ``Model.upload``, aiplatform/models.py 2.7.0); an image of many gigabytes may take longer.
        Another upload would make a second version.
        """
        self._report("the upload goes on at Google; waiting for it")
        deadline = time.monotonic() + UPLOAD_SECONDS
        while (version := self.find(alias)) is None:
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"version {alias} has not appeared for {UPLOAD_SECONDS / 60:.0f} minutes",
                    hint="sam-vertex model list shows it once it is there; then release again",
                    exit_code=CLOUD,
                )
            time.sleep(poll_seconds())
        return version

    def mark_live(self, version: Any) -> None:
        """Move the aliases: this version is live, the version that was live is the previous."""
        live = self.find(LIVE)
        if live is not None and live.version_id == version.version_id:
            return
        aliases = self._aliases()
        if live is not None:
            patiently(lambda: aliases.add_version_aliases([PREVIOUS], live.version_id))
        patiently(lambda: aliases.add_version_aliases([LIVE, "default"], version.version_id))

    def delete_model(self) -> None:
        """Delete the model with all its versions, if it exists."""
        from google.api_core.exceptions import NotFound

        try:
            patiently(lambda: self._sdk.Model(self._request.model_name).delete())
        except NotFound:
            self._report("there is no model")
        else:
            self._report(f"deleted model {self._request.model_id}")


def content_alias(version: Any) -> str:
    """The alias that names what a version is made of; empty where no release made the version."""
    aliases = (alias for alias in version.version_aliases if alias.startswith(CONTENT_PREFIX))
    return next(aliases, "")


def description_of(version: Any) -> dict[str, str]:
    """Image and checkpoint that a release wrote into a version; empty where it wrote none."""
    try:
        description = json.loads(version.version_description or "{}")
    except ValueError:
        description = {}
    if not isinstance(description, dict):
        description = {}
    keys = ("image", "checkpoint", "checkpoint_digest")
    return {key: str(description.get(key, "")) for key in keys}
