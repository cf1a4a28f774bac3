"""The model in the serving stack: what Terraform plans, and what stops a plan."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.stacks import PLATFORM, SERVING
from scripts.rehearsal.google_provider.objects import Objects
from scripts.releases.request import ReleaseRequest
from tests.infra.deployment import Deployment, document, plain, synthesize

DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGE = f"us-west1-docker.pkg.dev/my-project/sam-images/sam@{DIGEST}"
CHECKPOINT = "gs://my-project-sam/sam-checkpoint/sam_vit_b_01ec64"


def terraform_data(stack: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {plain(name): resource for name, resource in stack["resource"]["terraform_data"].items()}


def test_without_an_image_there_is_a_teardown_all_the_same(tmp_path: Path) -> None:
    """Terraform runs no destroy provisioner whose block has left the configuration."""
    stack = document(synthesize(tmp_path), SERVING)
    assert set(terraform_data(stack)) == {"model_teardown"}
    (check,) = terraform_data(stack)["model_teardown"]["lifecycle"]["precondition"]
    assert "deployed_models" in check["condition"]


def test_release_and_teardown_are_declared_so_that_destroy_works(tmp_path: Path) -> None:
    """Destroy provisioners refer only to themselves; Terraform destroys before it replaces."""
    stack = document(synthesize(tmp_path, image=IMAGE, checkpoint=CHECKPOINT), SERVING)
    data = terraform_data(stack)
    assert set(data) == {"model_release", "model_teardown"}
    release, teardown = data["model_release"], data["model_teardown"]
    (provisioner,) = teardown["provisioner"]
    destroy = provisioner["local-exec"]
    assert destroy["when"] == "destroy"
    assert destroy["environment"] == {"SAM_VERTEX_RELEASE": "${self.input.plan}"}
    assert "triggers_replace" not in teardown
    (provisioner,) = release["provisioner"]
    assert "when" not in provisioner["local-exec"]
    for resource in (release, teardown):
        assert "create_before_destroy" not in resource.get("lifecycle", {})
        assert any("google_vertex_ai_endpoint" in name for name in resource["depends_on"])
    assert any("model_teardown" in name for name in release["depends_on"])
    plan = ReleaseRequest.from_json(json.loads(release["triggers_replace"]["plan"]))
    plan.check()
    assert plan.image_digest == DIGEST
    assert plan.serving["reply_limit_bytes"] == "10000000"
    known = ReleaseRequest.from_json(json.loads(teardown["input"]["plan"]))
    assert known == dataclasses.replace(plan, image="", checkpoint="")


def test_settings_reach_the_release(tmp_path: Path) -> None:
    stack = document(
        synthesize(
            tmp_path, image=IMAGE, checkpoint=CHECKPOINT, serving_machine="g2-standard-8",
            serving_accelerator="NVIDIA_L4", max_replicas=3, serving_spot=True,
            serving_in_place=True, endpoint_type="shared", serving_precision="bf16",
            serving_target=75, serving_family="medsam",
        ),
        SERVING,
    )  # fmt: skip
    release = terraform_data(stack)["model_release"]
    plan = ReleaseRequest.from_json(json.loads(release["triggers_replace"]["plan"]))
    assert (plan.machine, plan.accelerator, plan.max_replicas) == ("g2-standard-8", "NVIDIA_L4", 3)
    assert plan.spot is True
    assert plan.target_utilization == 75
    assert plan.serving["precision"] == "bf16"
    assert plan.environment("own.pth")["SERVING_FAMILY"] == "medsam"
    assert plan.serving["timeout_seconds"] == "60"
    assert plan.serving["reply_limit_bytes"] == "1500000"
    command = release["provisioner"][0]["local-exec"]["command"]
    assert command.endswith("model release --in-place")


def test_what_is_missing_stops_the_plan_and_names_the_command(
    deployment: Callable[..., Deployment],
) -> None:
    """It stops before the endpoint; with image and checkpoint, it shows release and teardown."""
    made = deployment(force_destroy=True)
    made.apply(PLATFORM)
    image = IMAGE.replace("my-project", made.project)
    bucket = f"{made.project}-sam"
    checkpoint = f"gs://{bucket}/sam-checkpoint/sam_vit_b_01ec64"
    made.synthesize(image=image, checkpoint=checkpoint)

    def refused() -> str:
        made.terraform(SERVING)
        done = subprocess.run(
            ["terraform", "plan", "-no-color"], cwd=made.stacks / SERVING,
            env=made.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        return " ".join(done.stderr.replace("│", " ").split())

    message = refused()
    assert "sam-vertex checkpoint upload" in message
    assert "sam-vertex image build" in message
    objects = Objects(made.storage_url)
    objects.put(bucket, "sam-checkpoint/sam_vit_b_01ec64/sam_vit_b_01ec64.pth", b"weights")
    message = refused()
    assert "sam-vertex checkpoint upload" not in message
    with made.world.open() as world:
        pushed = {"digest": DIGEST, "tags": ["v1"], "tree": "", "entrypoint": []}
        world["images"] = {image.partition("@")[0]: [pushed]}
    assert made.changes(SERVING) == {
        "google_vertex_ai_endpoint.endpoint": ["create"],
        "terraform_data.model_release": ["create"],
        "terraform_data.model_teardown": ["create"],
    }
    made.destroy(PLATFORM)


def test_a_replaced_endpoint_is_emptied_first_and_filled_again(
    deployment: Callable[..., Deployment], tmp_path: Path
) -> None:
    """The order in which Terraform calls the command, which here only records its calls."""
    made = deployment(force_destroy=True)
    notes = tmp_path / "notes"
    program = tmp_path / "bin" / "sam-vertex"
    program.parent.mkdir()
    note = f'echo "$2 $SAM_VERTEX_RELEASE" >> {notes}'
    program.write_text(f'#!/bin/sh\n[ "$1" != model ] || {note}\n')
    program.chmod(0o755)
    made.environment["PATH"] = f"{program.parent}:{made.environment['PATH']}"
    made.apply(PLATFORM)
    image = IMAGE.replace("my-project", made.project)
    bucket = f"{made.project}-sam"
    Objects(made.storage_url).put(bucket, "sam-checkpoint/a/a.pth", b"weights")
    with made.world.open() as world:
        pushed = {"digest": DIGEST, "tags": ["v1"], "tree": "", "entrypoint": []}
        world["images"] = {image.partition("@")[0]: [pushed]}
    made.synthesize(image=image, checkpoint=f"gs://{bucket}/sam-checkpoint/a")
    made.apply(SERVING)
    made.synthesize(endpoint_id="another")
    made.apply(SERVING)
    made.synthesize(image="", checkpoint="")  # another shell, which knows neither
    made.destroy()

    def called() -> list[tuple[str, str]]:
        lines = [line.partition(" ") for line in notes.read_text().splitlines()]
        return [(word, json.loads(plan)["endpoint_id"]) for word, _, plan in lines]

    assert called() == [
        ("release", "sam-endpoint"), ("teardown", "sam-endpoint"),
        ("release", "another"), ("teardown", "another"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("created", "deployed", "warned"),
    [("2026-01-01T00:00:00.5Z", [], True), ("2026-01-01T00:00:00Z", ["1"], False),
     ("2999-01-01T00:00:00Z", [], False)],
)  # fmt: skip
def test_a_plan_warns_where_nothing_is_deployed(
    tmp_path: Path, created: str, deployed: list[str], warned: bool
) -> None:
    """Not of an endpoint that this very command makes; evaluated by the real Terraform."""
    stack = document(synthesize(tmp_path, image=IMAGE, checkpoint=CHECKPOINT), SERVING)
    (check,) = stack["check"]["endpoint_serves"]["assert"]
    (name,) = stack["resource"]["google_vertex_ai_endpoint"]
    check["condition"] = check["condition"].replace(
        f"google_vertex_ai_endpoint.{name}", "local.endpoint"
    )
    models = [{"id": id_} for id_ in deployed]
    content = {
        "locals": {"endpoint": {"create_time": created, "deployed_models": models}},
        "check": {"endpoint_serves": {"assert": [check]}},
    }
    folder = tmp_path / "checked"
    folder.mkdir()
    (folder / "main.tf.json").write_text(json.dumps(content))
    for command in ("init", "plan"):
        done = subprocess.run(
            ["terraform", command, "-no-color"], cwd=folder, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
    assert ("sam-vertex model release deploys" in " ".join(done.stdout.split())) == warned
