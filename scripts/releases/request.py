"""What an operator or Terraform wants released: image, checkpoint, settings, machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, Self

from scripts.cloud.deployment import release_of
from scripts.terminal.errors import OperatorError
from serving.sam.families.table import find_family

RELEASE_VARIABLE = "SAM_VERTEX_RELEASE"  # the request as JSON; infra.model sets it

_IMAGE = re.compile(
    r"[a-z0-9-]+-docker\.pkg\.dev/[^/]+/[^/]+/[^@:]+@(?P<digest>sha256:[0-9a-f]{64})"
)
_NUMBERS = ("accelerator_count", "min_replicas", "max_replicas", "target_utilization")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """Everything that a release needs; Terraform passes it as JSON.

    Attributes:
        project_id: Google Cloud project.
        region: of endpoint, image and bucket.
        bucket_name: the platform's bucket.
        endpoint_id: endpoint that serves the model.
        model_id: the model, of which a release makes a version.
        image: image by digest.
        checkpoint: ``gs://`` checkpoint file, or folder with one.
        machine: machine of a replica.
        accelerator: its accelerator, or empty.
        accelerator_count: how many.
        min_replicas: replicas kept up.
        max_replicas: replicas under load.
        target_utilization: percent of CPU and of accelerator at which replicas are added.
        spot: whether replicas are preemptible.
        service_account: who the container acts as.
        kms_key: key of the model's copy, or empty.
        serving: the container's ``SERVING_*`` settings without their prefix, in lower case.
    """

    project_id: str
    region: str
    bucket_name: str
    endpoint_id: str
    model_id: str
    image: str
    checkpoint: str
    machine: str = "n1-standard-4"
    accelerator: str = "NVIDIA_TESLA_T4"
    accelerator_count: int = 1
    min_replicas: int = 1
    max_replicas: int = 1
    target_utilization: int = 60
    spot: bool = False
    service_account: str = ""
    kms_key: str = ""
    serving: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read a request; numbers and flags may be text, as Terraform writes them.

        Raises:
            OperatorError: a name that is unknown or missing, or a value of the wrong kind.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise OperatorError(f"release: unknown {unknown[0]!r}", hint=f"known: {list(fields)}")
        arguments = dict(values)
        for name in _NUMBERS:
            if name in arguments:
                arguments[name] = int(arguments[name])
        if isinstance(arguments.get("spot"), str):
            arguments["spot"] = arguments["spot"].lower() == "true"
        try:
            return cls(**arguments)
        except TypeError as error:
            raise OperatorError(f"release: {error}", hint="deploy the platform first") from error

    def check(self) -> None:
        """Refuse a request that cannot succeed, before it costs anything.

        Raises:
            OperatorError: no image by digest, or no ``gs://`` checkpoint.
        """
        if not _IMAGE.fullmatch(self.image):
            raise OperatorError(
                f"image: expected REGION-docker.pkg.dev/P/R/NAME@sha256:..., got {self.image!r}",
                hint="sam-vertex image build prints it; then --image or SAM_IMAGE",
            )
        if not self.image.startswith(f"{self.region}-docker.pkg.dev/"):
            raise OperatorError(
                f"image: expected one in {self.region}, got {self.image}",
                hint="Vertex takes images of the endpoint's own region only",
            )
        if not re.fullmatch(r"gs://[^/]+/.+", self.checkpoint):
            raise OperatorError(
                f"checkpoint: expected gs://bucket/folder or a file there, got {self.checkpoint!r}",
                hint="sam-vertex checkpoint upload prints it; then --checkpoint or SAM_CHECKPOINT",
            )

    @property
    def endpoint_name(self) -> str:
        """Full name of the endpoint."""
        return f"projects/{self.project_id}/locations/{self.region}/endpoints/{self.endpoint_id}"

    @property
    def model_name(self) -> str:
        """Full name of the model."""
        return f"projects/{self.project_id}/locations/{self.region}/models/{self.model_id}"

    @property
    def image_digest(self) -> str:
        """``sha256:`` digest of the image."""
        match = _IMAGE.fullmatch(self.image)
        return match["digest"] if match else ""

    def environment(self, checkpoint_file: str) -> dict[str, str]:
        """The container's environment variables."""
        variables = {f"SERVING_{name.upper()}": value for name, value in self.serving.items()}
        if self.accelerator:  # without it the container does not start
            variables["SERVING_ACCELERATOR"] = self.accelerator
        return {**variables, "SERVING_CHECKPOINT": checkpoint_file}

    def alias(self, checkpoint_digest: str, checkpoint_file: str) -> str:
        """Alias of the version: equal image, checkpoint and settings have an equal alias."""
        parts = [self.image_digest, checkpoint_digest, self.environment(checkpoint_file)]
        text = json.dumps(parts, sort_keys=True)
        return f"r-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def read_request(outputs: Path, *, family: str = "", **changes: str) -> ReleaseRequest:
    """Terraform's request where this process has one, else that of the deployment's outputs.

    Args:
        outputs: outputs of ``cdktf deploy``.
        family: of the checkpoint's network; empty for the deployment's.
        changes: what the operator wants otherwise, by attribute; empty values change nothing.

    Raises:
        OperatorError: there is no request, or it is incomplete.
    """
    text = os.environ.get(RELEASE_VARIABLE, "")
    if text:
        values: dict[str, Any] = json.loads(text)
    else:
        values = dict(release_of(outputs))
    values |= {name: value for name, value in changes.items() if value}
    if family:
        values["serving"] = {**values.get("serving", {}), "family": find_family(family).name}
    return ReleaseRequest.from_json(values)
