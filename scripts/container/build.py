"""The images of the working tree: built, pushed and recorded, so that digests can name them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from scripts.cloud.credentials import access_token
from scripts.cloud.deployment import Deployment
from scripts.cloud.project_state import refuse_unready
from scripts.cloud.vertex_sdk import in_rehearsal
from scripts.container.record import BuiltImages, write_record
from scripts.container.registry import (
    Builder,
    BuilderChoice,
    Wanted,
    choose_builder,
    push_with_cloud_build,
    push_with_docker,
)
from scripts.container.tags import tagged_digest
from scripts.container.working_tree import WorkingTree
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import report_line

NAMES = {"serving": "sam", "pipeline": "sam-steps"}  # by stage of the Dockerfile


def build_images(
    outputs: Path, *, choice: BuilderChoice, steps_as_root: bool = False
) -> BuiltImages:
    """Build both images, push them to the platform's registry, and record them beside the outputs.

    An image that the registry has under this tree's tag is not built again: a tag cannot be moved
    there, and another build of the same tree would have another digest.

    Args:
        outputs: outputs of ``cdktf deploy``, for the registry.
        choice: what builds.
        steps_as_root: whether the steps run as root, should they need that to write to ``/gcs``.

    Raises:
        OperatorError: no platform is deployed, nobody pays for it, nothing here builds, or a build
            failed.
    """
    deployment = Deployment.from_outputs(outputs)
    refuse_unready(deployment.project_id, ("artifactregistry",), report_line)
    tree = WorkingTree.of_checkout()
    if tree.dirty:
        report_line(
            f"warning: the working tree differs from {tree.revision}; "
            "the images are not that revision"
        )
    images = [
        _wanted(deployment, tree, target, as_root=steps_as_root and target == "pipeline")
        for target in NAMES
    ]
    digests = {image.uri: tagged_digest(image.uri) for image in images}
    missing = [image for image in images if not digests[image.uri]]
    for image in images:
        if digests[image.uri]:
            report_line(f"{image.uri} is in the registry already; nothing to build")
    builder: Builder | Literal["registry"] = "registry"
    if missing:
        builder = choose_builder(choice)
        report_line(f"building {', '.join(image.uri for image in missing)} with {builder}")
        _push(missing, builder, deployment)
    for image in missing:
        digests[image.uri] = tagged_digest(image.uri)
        if not digests[image.uri]:
            raise OperatorError(
                f"the registry does not know {image.uri}, which was pushed a moment ago",
                hint="run the same command again: it builds only what is not there",
                exit_code=CLOUD,
            )
    serving, steps = (f"{image.uri.rpartition(':')[0]}@{digests[image.uri]}" for image in images)
    built = BuiltImages(
        image=serving,
        steps_image=steps,
        tag=tree.tag(),
        revision=tree.revision,
        dirty=tree.dirty,
        builder=builder,
    )
    write_record(outputs, built)
    return built


def _wanted(deployment: Deployment, tree: WorkingTree, target: str, *, as_root: bool) -> Wanted:
    uri = f"{deployment.registry_uri}/{NAMES[target]}:{tree.tag()}"
    arguments = {"REVISION": tree.revision}
    if as_root:
        return Wanted(target, f"{uri}-root", {**arguments, "STEPS_USER": "0"})
    return Wanted(target, uri, arguments)


def _push(images: Sequence[Wanted], builder: Builder, deployment: Deployment) -> None:
    if builder == "docker":
        token = "" if in_rehearsal() else access_token(deployment.project_id)
        push_with_docker(images, token=token)
        return
    push_with_cloud_build(
        images,
        project_id=deployment.project_id,
        region=deployment.region,
        service_account=deployment.service_accounts.get("build", ""),
        bucket_name=deployment.bucket_name,
    )
