"""Tags of the platform's registry: which image has one, as the registry itself says."""

from __future__ import annotations

import re

from scripts.cloud.project_services import ServiceRefusal, fetch
from scripts.terminal.errors import CLOUD, OperatorError

_IMAGE = re.compile(
    r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/(?P<repository>[^/]+)"
    r"/(?P<package>[^:@]+):(?P<tag>[^:@/]+)"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NOT_FOUND = 404


def tagged_digest(uri: str) -> str:
    """The digest of the image that has a tag; empty where none has it.

    The answer is Artifact Registry's own (projects.locations.repositories.packages.tags.get), so it
    is the same whoever built and pushed.

    Args:
        uri: the image with its tag.

    Raises:
        OperatorError: it is no image of Artifact Registry, or the registry refuses.
    """
    image = _IMAGE.fullmatch(uri)
    if image is None:
        raise OperatorError(
            f"expected REGION-docker.pkg.dev/P/R/NAME:TAG, got {uri!r}",
            hint="the registry is an output of the deployment",
        )
    package = image["package"].replace("/", "%2F")
    path = (
        f"/v1/projects/{image['project']}/locations/{image['location']}/repositories/"
        f"{image['repository']}/packages/{package}/tags/{image['tag']}"
    )
    try:
        answer = fetch("artifactregistry.googleapis.com", path, image["project"])
    except ServiceRefusal as error:
        if error.status == _NOT_FOUND:
            return ""
        raise
    digest = str(answer.get("version", "")).rpartition("/")[2]
    if not _DIGEST.fullmatch(digest):
        raise OperatorError(
            f"the registry names no digest of {uri}: {answer}",
            hint="run the same command again",
            exit_code=CLOUD,
        )
    return digest
