"""An image of the working tree: built, pushed and recorded, so that it can be named by digest."""

from __future__ import annotations

from pathlib import Path

from scripts.cloud.credentials import access_token
from scripts.cloud.deployment import Deployment
from scripts.cloud.vertex_sdk import in_rehearsal
from scripts.container.record import BuiltImage, write_record
from scripts.container.registry import (
    BuilderChoice,
    choose_builder,
    push_with_cloud_build,
    push_with_docker,
)
from scripts.container.working_tree import WorkingTree
from scripts.terminal.progress import report_line

NAME = "sam"


def build_image(outputs: Path, *, choice: BuilderChoice, platform: str) -> BuiltImage:
    """Build the image, push it to the platform's registry, and record it beside the outputs.

    Args:
        outputs: outputs of ``cdktf deploy``, for the registry.
        choice: what builds.
        platform: of the image, such as ``linux/amd64``.

    Raises:
        OperatorError: no platform is deployed, nothing here builds, or the build failed.
    """
    deployment = Deployment.from_outputs(outputs)
    builder = choose_builder(choice)
    tree = WorkingTree.of_checkout()
    if tree.dirty:
        report_line(
            f"warning: the working tree differs from {tree.revision}; "
            "the image is not that revision"
        )
    repository = f"{deployment.registry_uri}/{NAME}"
    tag = tree.tag()
    uri = f"{repository}:{tag}"
    report_line(f"building {uri} with {builder}")
    if builder == "docker":
        token = "" if in_rehearsal() else access_token(deployment.project_id)
        digest = push_with_docker(uri, tree.revision, platform, token=token)
    else:
        digest = push_with_cloud_build(
            uri,
            tree.revision,
            platform,
            project_id=deployment.project_id,
            region=deployment.region,
            service_account=deployment.service_accounts.get("build", ""),
            bucket_name=deployment.bucket_name,
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
