"""What a release is made of decides its version; Terraform's request comes before the outputs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from scripts.releases.request import RELEASE_VARIABLE, ReleaseRequest, read_request
from scripts.terminal.errors import OperatorError

REQUEST = ReleaseRequest(
    project_id="p", region="us-west1", bucket_name="b", endpoint_id="e", model_id="m",
    image="us-west1-docker.pkg.dev/p/r/sam@sha256:" + "a" * 64, checkpoint="gs://b/c",
    serving={"precision": "fp32"},
)  # fmt: skip
VALUES = dataclasses.asdict(REQUEST)


def test_versions_differ_by_what_makes_masks_different() -> None:
    alias = REQUEST.alias("md5:1", "a.pth")
    assert alias == REQUEST.alias("md5:1", "a.pth")
    machine = ReleaseRequest.from_json({**VALUES, "machine": "n1-standard-8"})
    assert machine.alias("md5:1", "a.pth") == alias
    for changes in (
        {"serving": {"precision": "fp16"}},
        {"serving": {**REQUEST.serving, "family": "medsam"}},
        {"image": REQUEST.image.replace("aaa", "bbb")},
    ):
        request = ReleaseRequest.from_json({**VALUES, **changes})
        assert request.alias("md5:1", "a.pth") != alias
    assert REQUEST.alias("md5:2", "a.pth") != alias


def test_the_container_is_told_which_accelerator_it_has() -> None:
    """So that it does not start on the CPU of a machine whose accelerator is paid for."""
    assert REQUEST.environment("a.pth")["SERVING_ACCELERATOR"] == "NVIDIA_TESLA_T4"
    without = ReleaseRequest.from_json({**VALUES, "accelerator": ""})
    assert "SERVING_ACCELERATOR" not in without.environment("a.pth")


def test_unknown_name_is_refused() -> None:
    with pytest.raises(OperatorError, match="unknown"):
        ReleaseRequest.from_json({**VALUES, "machin": "x"})


def test_terraforms_request_comes_before_the_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers and flags are text there; what the operator gives changes either."""
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({"sam-serving": {"release": {**VALUES, "model_id": "recorded"}}}))
    assert read_request(outputs).model_id == "recorded"
    assert read_request(outputs, image="", machine="n1-standard-8").machine == "n1-standard-8"
    text = {**VALUES, "min_replicas": "2", "spot": "true"}
    monkeypatch.setenv(RELEASE_VARIABLE, json.dumps(text))
    request = read_request(outputs, checkpoint="gs://b/other")
    assert read_request(outputs, family="medsam").serving == {**REQUEST.serving, "family": "medsam"}
    expected = {"min_replicas": 2, "spot": True, "checkpoint": "gs://b/other"}
    assert request == dataclasses.replace(REQUEST, **expected)  # type: ignore[arg-type]
