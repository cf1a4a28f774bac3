"""What a run on Vertex AI needs before it is submitted: an image, folders its steps can reach."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.cloud.deployment import Deployment
from scripts.container.record import last_steps_image
from scripts.terminal.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.run.input_images import InputImage
    from pipeline.run.parameters import RunParameters


def new_run_id() -> str:
    """Return a name that no other run has and that sorts by time."""
    return f"sam-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def steps_image(outputs: Path, image: str) -> str:
    """The image whose steps run: the given one, or the last one built.

    Args:
        outputs: file that 'cdktf deploy' wrote.
        image: what the operator named; empty for nothing.

    Raises:
        OperatorError: there is none.
    """
    image = image or last_steps_image(outputs)
    if not image:
        raise OperatorError(
            f"there is no image of the steps beside {outputs}",
            hint="sam-vertex image build, which builds only what the registry has not; or --image",
        )
    return image


def check_reachable(deployment: Deployment, parameters: RunParameters) -> None:
    """Refuse inputs, a checkpoint or an output that the service account of the steps cannot reach.

    Raises:
        OperatorError: one of them lies outside the deployment's folders.
    """
    readable = (deployment.images_uri, deployment.pipeline_uri, deployment.checkpoint_uri)
    for uri in parameters.inputs:
        _check_below("INPUT", uri, readable, "sam-vertex images upload FOLDER")
    writable = (deployment.pipeline_uri,)
    _check_below("--output", parameters.output, writable, "choose a folder there")
    if "/" in parameters.checkpoint:
        hint = "sam-vertex checkpoint upload NAME"
        _check_below("--checkpoint", parameters.checkpoint, readable, hint)


def _check_below(option: str, uri: str, folders: tuple[str, ...], hint: str) -> None:
    if not any(uri == folder or uri.startswith(f"{folder}/") for folder in folders):
        raise OperatorError(
            f"{option} {uri}: expected a place below {' or '.join(folders)}, which the steps can "
            "reach",
            hint=hint,
        )


def with_uploaded_prompts(
    deployment: Deployment, parameters: RunParameters, images: Sequence[InputImage]
) -> RunParameters:
    """Upload the prompts of a file or folder of this machine, and name what was uploaded.

    Args:
        deployment: whose bucket receives them.
        parameters: the run.
        images: its images, with the prompts that were found for them.

    Raises:
        RunError, PromptError: the file cannot be read.
        StorageError: the bucket cannot be written.
    """
    from pipeline.run.prompt_sets.prompt_set import own_form
    from pipeline.run.prompt_sets.reading import read_prompts
    from serving.storage import SCHEME, open_folder

    prompts = parameters.prompts
    if not prompts or prompts.startswith(SCHEME):
        return parameters
    found = {image.name: image.prompts for image in images if image.prompts}
    content = json.dumps(own_form(found, read_prompts(prompts))).encode()
    name = f"prompts/{hashlib.sha256(content).hexdigest()[:32]}.json"
    folder = open_folder(deployment.pipeline_uri)
    folder.write_bytes(name, content, "application/json")
    return dataclasses.replace(parameters, prompts=folder.uri_of(name))
