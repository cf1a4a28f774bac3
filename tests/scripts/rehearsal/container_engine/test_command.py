"""The stand-in of docker: an image is its files and the moment of its build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.rehearsal.container_engine.command import build, push
from scripts.rehearsal.container_engine.image_tree import ImageTreeError
from scripts.rehearsal.google_provider.world import World

TAG = "us-west1-docker.pkg.dev/p/images/sam:abc"
REPOSITORY = "projects/p/locations/us-west1/repositories/images"


def test_second_build_of_the_same_files_is_another_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its push under the same tag, which cannot be moved, is refused."""
    world = World(tmp_path / "world.json")
    monkeypatch.setenv("SAM_REHEARSAL_WORLD", str(world.path))
    with world.open() as contents:
        contents["resources"]["google_artifact_registry_repository"] = {REPOSITORY: {}}
    context = tmp_path / "context"
    context.mkdir()
    (context / "a.py").write_text("1")
    dockerfile = context / "Dockerfile"
    dockerfile.write_text('FROM scratch\nCOPY a.py ./a.py\nENTRYPOINT ["python", "a.py"]\n')
    digests = []
    for _ in range(2):
        build(TAG, dockerfile, context)
        local = json.loads((tmp_path / "images" / "local.json").read_text())
        digests.append(local[TAG]["digest"])
        if len(digests) == 1:
            push(TAG)
    assert digests[0] != digests[1]
    with pytest.raises(ImageTreeError, match="tags are immutable"):
        push(TAG)
    monkeypatch.setenv("SAM_REHEARSAL_ACCOUNT", "sam-serving@p.iam.gserviceaccount.com")
    with pytest.raises(ImageTreeError, match="uploadArtifacts"):
        push(TAG)
