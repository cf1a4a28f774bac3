"""What is to be released: image, checkpoint, settings and machine, and the version they make."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Any, Self

from scripts.terminal.errors import OperatorError

_IMAGE = re.compile(
    r"[a-z0-9-]+-docker\.pkg\.dev/[^/]+/[^/]+/[^@:]+@(?P<digest>sha256:[0-9a-f]{64})"
)
_UPLOAD = "sam-vertex checkpoint upload"
_BUILD = "sam-vertex image build"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePlan:
    """Everything that a release needs; Terraform hands it over as JSON.

    Attributes:
        project_id: Google Cloud project.
        region: of endpoint, image and bucket.
        bucket_name: the platform's bucket, in which releases are recorded.
        endpoint_id: endpoint that serves it.
        model_id: the model whose versions are released.
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
        epoch: counts repairs, see infra.model; empty where Terraform does not ask.
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
    epoch: str = ""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read a plan; numbers and flags may come as text, as from Terraform.

        Raises:
            OperatorError: a name that is unknown or missing, or a value of the wrong kind.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise OperatorError(f"release: unknown {unknown[0]!r}", hint=f"known: {list(fields)}")
        found = dict(values)
        for name in ("accelerator_count", "min_replicas", "max_replicas", "target_utilization"):
            if name in found:
                found[name] = int(found[name])
        if isinstance(found.get("spot"), str):
            found["spot"] = found["spot"].lower() == "true"
        try:
            return cls(**found)
        except TypeError as error:
            raise OperatorError(f"release: {error}", hint="deploy the platform first") from error

    def check(self) -> None:
        """Refuse what cannot be released, before anything is asked or made.

        Raises:
            OperatorError: no image by digest, or no ``gs://`` checkpoint.
        """
        if not _IMAGE.fullmatch(self.image):
            raise OperatorError(
                f"image: expected REGION-docker.pkg.dev/P/R/NAME@sha256:..., got {self.image!r}",
                hint=f"{_BUILD} prints it; then --image or SAM_IMAGE",
            )
        if not self.image.startswith(f"{self.region}-docker.pkg.dev/"):
            raise OperatorError(
                f"image: expected one in {self.region}, got {self.image}",
                hint="Vertex takes images of the endpoint's own region only",
            )
        if not re.fullmatch(r"gs://[^/]+/.+", self.checkpoint):
            raise OperatorError(
                f"checkpoint: expected gs://bucket/folder or a file there, got {self.checkpoint!r}",
                hint=f"{_UPLOAD} prints it; then --checkpoint or SAM_CHECKPOINT",
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
        found = _IMAGE.fullmatch(self.image)
        return found["digest"] if found else ""

    def environment(self, checkpoint_file: str) -> dict[str, str]:
        """Variables of the container."""
        variables = {f"SERVING_{name.upper()}": value for name, value in self.serving.items()}
        return {**variables, "SERVING_CHECKPOINT": checkpoint_file}

    def alias(self, checkpoint_digest: str, checkpoint_file: str) -> str:
        """Alias of the version that image, checkpoint and settings make: the same, the same."""
        parts = [self.image_digest, checkpoint_digest, self.environment(checkpoint_file)]
        text = json.dumps(parts, sort_keys=True)
        return f"r-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclasses.dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint in a bucket.

    Attributes:
        folder: ``gs://`` folder, the model's artifacts.
        file_name: the file in it.
        digest: of its content.
    """

    folder: str
    file_name: str
    digest: str


def find_checkpoint(uri: str) -> StoredCheckpoint:
    """Look a checkpoint up.

    Args:
        uri: ``gs://`` file, or folder with one checkpoint.

    Raises:
        OperatorError: there is none, or several.
    """
    from serving.storage import StorageError, open_folder

    suffixes = (".pth", ".pt")
    folder_uri, _, name = uri.rstrip("/").rpartition("/")
    if not uri.endswith(suffixes):
        folder_uri, name = uri.rstrip("/"), ""
    try:
        folder = open_folder(folder_uri)
        found = [file.name for file in folder.files() if "/" not in file.name]
        checkpoints = [file for file in found if file.endswith(suffixes)]
        if name:
            checkpoints = [file for file in checkpoints if file == name]
        if len(checkpoints) != 1:
            raise OperatorError(
                f"{uri}: expected one checkpoint, found {', '.join(checkpoints) or 'none'}",
                hint=f"{_UPLOAD} puts each into a folder of its own; or name the file"
                if checkpoints
                else f"upload it first: {_UPLOAD}",
            )
        return StoredCheckpoint(folder_uri, checkpoints[0], folder.digest(checkpoints[0]))
    except StorageError as error:
        raise OperatorError(str(error), hint=f"upload it first: {_UPLOAD}", exit_code=1) from error
