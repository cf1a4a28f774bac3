"""What was deployed: the outputs of the stacks, as ``cdktf deploy --outputs-file`` wrote them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Self

from scripts.checkout import PLATFORM, SERVING
from scripts.terminal.errors import OperatorError
from serving.sam.known_checkpoints import find_entry

DEFAULT_PATH = Path("outputs.json")
_DEPLOY = "npx cdktf deploy sam-platform sam-serving --outputs-file outputs.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployed platform. The fields of a stack that is not deployed are empty.

    Attributes:
        project_id: Google Cloud project.
        region: region of bucket, images and endpoint.
        bucket_name: the bucket.
        checkpoint_uri: its folder of checkpoints, ``gs://``.
        images_uri: its folder of images.
        pipeline_uri: its folder of pipeline runs.
        registry_uri: what the name of an image begins with.
        service_accounts: e-mail of each purpose.
        workbench_name: the Workbench.
        workbench_zone: its zone.
        workbench_proxy_uri: where its JupyterLab is.
        startup_status_uri: object in which its start-up script reports.
        kms_key: key that encrypts everything, or empty.
        workbench_shape: its ``machine``, ``accelerator`` and ``disk_gb``; whether it has a ``nat``.
        masks_table: table of BigQuery over the runs, ``project.dataset.table``, or empty.
        endpoint_resource_name: ``projects/.../endpoints/...``.
        endpoint_id: its id.
        endpoint_type: dedicated or shared.
        endpoint_dns: host name of a dedicated endpoint, which answers by https.
        reply_limit_bytes: largest reply that the endpoint sends.
        service_account: who the deployed model acts as.
        release: how a model is released here; a :class:`scripts.releases.request.ReleaseRequest`.
    """

    project_id: str
    region: str
    bucket_name: str
    checkpoint_uri: str
    images_uri: str
    pipeline_uri: str
    registry_uri: str
    service_accounts: dict[str, str]
    workbench_name: str
    workbench_zone: str
    workbench_proxy_uri: str
    startup_status_uri: str
    kms_key: str
    workbench_shape: dict[str, Any] = dataclasses.field(default_factory=dict)
    masks_table: str = ""
    endpoint_resource_name: str = ""
    endpoint_id: str = ""
    endpoint_type: str = ""
    endpoint_dns: str = ""
    reply_limit_bytes: int = 0
    service_account: str = ""
    release: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_outputs(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            OperatorError: it is missing, no JSON, or lacks an output of the platform.
        """
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            document: dict[str, dict[str, Any]] = json.loads(text)
            values = {**document.get(SERVING, {}), **document[PLATFORM]}
            known = {field.name for field in dataclasses.fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OperatorError(
                f"{path} does not hold the outputs of {PLATFORM}: {error}", hint=_DEPLOY
            ) from error

    def uploaded_checkpoint_uri(self, name: str) -> str:
        """Where the steps of a pipeline read a checkpoint.

        Args:
            name: a known name, a file or a URI.

        Returns:
            The URI to which 'sam-vertex checkpoint upload' sends a published checkpoint; the name
            itself where the checkpoint is embedded in the image or is named by its URI.
        """
        entry = find_entry(name)
        if entry is None or entry.url is None or "/" in name:
            return name
        return f"{self.checkpoint_uri}/{Path(entry.file_name).stem}/{entry.file_name}"


def _unreadable(path: Path, error: OSError) -> OperatorError:
    if isinstance(error, FileNotFoundError):
        return OperatorError(
            f"the outputs of a deployment are not here: no file {path}",
            hint=f"name the file with --outputs, or deploy first: {_DEPLOY}",
        )
    return OperatorError(
        f"cannot read the outputs {path}: {error.strerror or error}", hint="name another --outputs"
    )


def release_of(path: Path) -> dict[str, Any]:
    """Read how a model is released: an output of the serving stack, which may stand alone.

    Raises:
        OperatorError: the file is missing, no JSON, or holds no endpoint.
    """
    try:
        release: dict[str, Any] = json.loads(path.read_text("utf-8"))[SERVING]["release"]
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{path} holds no endpoint ({error})", hint=_DEPLOY) from error
    return release
