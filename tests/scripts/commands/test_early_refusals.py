"""A project that nobody pays for is refused before anything is built, uploaded or submitted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.checkout import PLATFORM, SERVING
from scripts.cli import app
from scripts.releases.request import ReleaseRequest
from tests.stand_ins.outputs import platform_outputs
from tests.stand_ins.vertex import Vertex

BUCKET = "p1-sam"
IMAGES = f"gs://{BUCKET}/batch-prediction-images"


@pytest.fixture
def outputs(vertex: Vertex, shell: None, tmp_path: Path) -> Iterator[Path]:
    """A platform whose billing somebody has turned off."""
    release = ReleaseRequest(
        project_id="p1", region="us-west1", bucket_name=BUCKET, endpoint_id="sam", model_id="m",
        image=vertex.image, checkpoint="gs://p1-bucket/model", serving={},
    )  # fmt: skip
    serving = {"release": {name: getattr(release, name) for name in release.__slots__}}
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps({PLATFORM: platform_outputs("p1"), SERVING: serving}))
    if not vertex.objects.has_bucket(BUCKET):
        vertex.objects.create_bucket(BUCKET, "p1")
    weights = Path(__file__).parents[3] / "serving/sam/assets/sam_vit_tiny.pth"
    vertex.objects.put(BUCKET, "sam-checkpoint/sam_vit_tiny/sam_vit_tiny.pth", weights.read_bytes())
    vertex.objects.put(BUCKET, "batch-prediction-images/a.png", b"no picture")
    with vertex.world.open() as world:
        world["billing"] = False
    yield path
    with vertex.world.open() as world:
        del world["billing"]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["image", "build", "--via", "docker"], id="image build"),
        pytest.param(["model", "release"], id="model release"),
        pytest.param(
            ["run", IMAGES, "--engine", "vertex", "--checkpoint", "vit_tiny", "--output",
             f"gs://{BUCKET}/pipeline/run", "--yes"], id="run",
        ),
    ],
)  # fmt: skip
def test_command_of_a_project_without_billing_is_refused(
    vertex: Vertex, outputs: Path, command: list[str]
) -> None:
    if command[0] == "run":
        (outputs.parent / "image.json").write_text(json.dumps({"steps_image": vertex.image}))
    before = vertex.world.read()
    done = CliRunner().invoke(app, [*command, "--outputs", str(outputs)])
    assert done.exit_code == 1, done.output
    assert "error: billing: off for p1" in done.output
    assert "hint: gcloud billing projects link p1" in done.output
    after = vertex.world.read()
    assert {kind: after["vertex"][kind] for kind in ("models", "pipelines")} == {
        kind: before["vertex"][kind] for kind in ("models", "pipelines")
    }
    assert after["images"] == before["images"]
    assert vertex.objects.names(BUCKET, "pipeline/") == []
