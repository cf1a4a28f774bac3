"""An image is built once for a tree, and its digest is what the registry says of the tag."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.checkout import PLATFORM
from scripts.container.build import build_images
from scripts.container.record import BuiltImages
from scripts.container.tags import tagged_digest
from scripts.container.working_tree import WorkingTree
from scripts.terminal.errors import OperatorError
from tests.scripts.container.conftest import Install
from tests.stand_ins.answers import Answers, answering
from tests.stand_ins.outputs import platform_outputs
from tests.stand_ins.vertex import Vertex

PACKAGES = (
    "/artifactregistry.googleapis.com/v1/projects/p1/locations/us-west1/repositories/sam-images"
    "/packages"
)
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """Artifact Registry, which knows no tag; this shell rehearses."""
    with answering() as known:
        monkeypatch.setenv("SAM_REHEARSAL_APIS", known.address)
        monkeypatch.setenv("SAM_REHEARSAL_VERTEX", known.address)
        yield known


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps({PLATFORM: platform_outputs("p1")}))
    return path


def test_tree_that_is_in_the_registry_is_not_built_again(
    registry: Answers, outputs: Path, install: Install
) -> None:
    install("docker", "exit 1")
    tag = WorkingTree.of_checkout().tag()
    for name in ("sam", "sam-steps"):
        answer = {"version": f"projects/p1/.../packages/{name}/versions/{DIGEST}"}
        registry.set(f"{PACKAGES}/{name}/tags/{tag}", answer)
    built = build_images(outputs, choice="docker")
    assert built.image == f"us-west1-docker.pkg.dev/p1/sam-images/sam@{DIGEST}"
    assert built.steps_image == f"us-west1-docker.pkg.dev/p1/sam-images/sam-steps@{DIGEST}"
    assert (built.tag, built.builder) == (tag, "registry")
    assert json.loads((outputs.parent / "image.json").read_text())["image"] == built.image


@pytest.fixture
def repository(vertex: Vertex) -> Iterator[None]:
    """The platform's repository and its API, which no other test of this world has."""
    where = "projects/p1/locations/us-west1/repositories/sam-images"
    api = {"service": "artifactregistry.googleapis.com", "project": "p1"}
    with vertex.world.open() as world:
        before = dict(world["resources"])
        world["resources"] |= {
            "google_artifact_registry_repository": {where: {"id": where}},
            "google_project_service": {"p1/artifactregistry": api},
        }
    yield
    with vertex.world.open() as world:
        world["resources"] = before


def test_images_are_built_and_pushed_once(
    vertex: Vertex, shell: None, repository: None, outputs: Path
) -> None:
    """By the rehearsal's engine, into the rehearsal's registry."""
    name = "us-west1-docker.pkg.dev/p1/sam-images/sam"

    def build(*, steps_as_root: bool = False) -> BuiltImages:
        return build_images(outputs, choice="docker", steps_as_root=steps_as_root)

    first, again = build(), build()
    assert (first.builder, again.builder) == ("docker", "registry")
    images = vertex.world.read()["images"]
    (serving,), (steps,) = images[name], images[f"{name}-steps"]
    assert first.image == again.image == f"{name}@{serving['digest']}"
    assert first.steps_image == again.steps_image == f"{name}-steps@{steps['digest']}"
    assert serving["entrypoint"] == ["python", "-m", "serving.server"]
    assert not (Path(steps["tree"]) / "serving" / "server.py").exists()

    rooted = build(steps_as_root=True)
    assert rooted.image == first.image
    tags = [image["tags"] for image in vertex.world.read()["images"][f"{name}-steps"]]
    assert f"{first.tag}-root" in {tag for of_image in tags for tag in of_image}


def test_push_that_the_registry_does_not_know_is_an_error(
    registry: Answers, outputs: Path, install: Install
) -> None:
    install("docker", "exit 0")
    with pytest.raises(OperatorError, match="does not know") as caught:
        build_images(outputs, choice="docker")
    assert "builds only what is not there" in caught.value.hint
    assert not (outputs.parent / "image.json").exists()


def test_answer_without_a_digest_and_other_registries_are_refused(registry: Answers) -> None:
    registry.set(f"{PACKAGES}/sam/tags/t", {"version": "projects/p1/.../versions/latest"})
    with pytest.raises(OperatorError, match="names no digest"):
        tagged_digest("us-west1-docker.pkg.dev/p1/sam-images/sam:t")
    with pytest.raises(OperatorError, match="expected REGION-docker"):
        tagged_digest("docker.io/sam:t")
