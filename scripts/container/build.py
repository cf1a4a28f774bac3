"""An image of the working tree: built, pushed and recorded, so that it can be named by digest."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scripts.cloud.credentials import access_token
from scripts.cloud.deployment import Deployment
from scripts.cloud.vertex_sdk import in_rehearsal
from scripts.container.record import BuiltImage, write_record
from scripts.container.registry import (
    Builder,
    BuilderChoice,
    choose_builder,
    push_with_cloud_build,
    push_with_docker,
)
from scripts.container.tags import tagged_digest
from scripts.container.working_tree import WorkingTree
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import report_line

NAME = "sam"


def build_image(outputs: Path, *, choice: BuilderChoice, platform: str) -> BuiltImage:
    """Build the image, push it to the platform's registry, and record it beside the outputs.

    An image that the registry has under this tree's tag is not built again: a tag cannot be moved
    there, and another build of the same tree would have another digest.

    Args:
        outputs: outputs of ``cdktf deploy``, for the registry.
        choice: what builds.
        platform: of the image, such as ``linux/amd64``.

    Raises:
        OperatorError: no platform is deployed, nothing here builds, or the build failed.
    """
    deployment = Deployment.from_outputs(outputs)
    tree = WorkingTree.of_checkout()
    if tree.dirty:
        report_line(
            f"warning: the working tree differs from {tree.revision}; "
            "the image is not that revision"
        )
    repository = f"{deployment.registry_uri}/{NAME}"
    tag = tree.tag()
    uri = f"{repository}:{tag}"
    digest = tagged_digest(uri)
    if digest:
        report_line(f"{uri} is in the registry already; nothing to build")
        builder: Builder | Literal["registry"] = "registry"
    else:
        builder = choose_builder(choice)
        report_line(f"building {uri} with {builder}")
        _push(uri, tree.revision, platform, builder, deployment)
        digest = tagged_digest(uri)
    if not digest:
        raise OperatorError(
            f"the registry does not know {uri}, which was pushed a moment ago",
            hint="run the same command again: it builds only what is not there",
            exit_code=CLOUD,
        )
    built = BuiltImage(
        image=f"{repository}@{digest}",
        tag=tag,
        revision=tree.revision,
        dirty=tree.dirty,
        builder=builder,
    )
    write_record(outputs, built)
    return built


def _push(uri: str, revision: str, platform: str, builder: Builder, deployment: Deployment) -> None:
    if builder == "docker":
        token = "" if in_rehearsal() else access_token(deployment.project_id)
        push_with_docker(uri, revision, platform, token=token)
        return
    push_with_cloud_build(
        uri,
        revision,
        platform,
        project_id=deployment.project_id,
        region=deployment.region,
        service_account=deployment.service_accounts.get("build", ""),
        bucket_name=deployment.bucket_name,
    )
