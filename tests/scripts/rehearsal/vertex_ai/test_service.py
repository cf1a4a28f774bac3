"""A stand-in that starts anew in an old world."""

from __future__ import annotations

import time
from pathlib import Path

from scripts.rehearsal import local_cloud as clouds
from tests.stand_ins.vertex import ENDPOINT, PARENT, Vertex, furnish


def test_a_restarted_stand_in_finds_its_state_again(tmp_path: Path) -> None:
    """Models, the deployment and its container are back; the operation that ran then has failed."""
    vertex = Vertex(clouds.start(tmp_path))
    furnish(vertex, tmp_path / "images" / "tree")
    id_ = vertex.deployed(vertex.uploaded(modelId="sam"))
    slow = vertex.uploaded(env=[{"name": "SERVING_PRECISION", "value": "slow"}])
    operation = vertex.deploy(slow, {"0": 0, id_: 100}).json()["name"]
    assert not vertex.ok("GET", operation)["done"]
    clouds.stop(tmp_path, keep=True)
    again = Vertex(clouds.start(tmp_path))
    try:
        assert again.ok("GET", f"{PARENT}/models/sam")["versionId"] == "1"
        assert "error" in again.ok("GET", operation)
        assert [model["id"] for model in again.ok("GET", ENDPOINT)["deployedModels"]] == [id_]
        deadline = time.monotonic() + 20
        while (reply := again.predict("x")).status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert reply.json()["deployedModelId"] == id_
    finally:
        clouds.stop(tmp_path)
    assert not tmp_path.exists()
