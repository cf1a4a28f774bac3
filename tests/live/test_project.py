"""Ten things that only Google Cloud itself can confirm, in the order in which they are done."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from serving.sam.engine import Engine
from serving.sam.prompts import Prompt
from tests.live.operator import PREFIX, Operator

pytestmark = [pytest.mark.live, pytest.mark.timeout(7200)]
POINT = (80, 95)  # on the red ellipse of every drawn scene of this size
LEAST_IOU = 0.95  # of a mask that a GPU computed in half precision with one of a CPU's


def instance(operator: Operator) -> dict[str, Any]:
    data = (operator.photos / "0.png").read_bytes()
    return {
        "file_path": "0.png", "image": base64.b64encode(data).decode(),
        "input_point": list(POINT), "input_label": [1],
    }  # fmt: skip


def assert_is_the_mask(prediction: dict[str, Any], operator: Operator, engine: Engine) -> None:
    """The endpoint's mask is the one that the same checkpoint gives on this machine."""
    pixels = np.asarray(Image.open(operator.photos / "0.png"))
    prompt = Prompt(points=(POINT,), labels=(1,))
    expected = engine.predict(engine.embed(pixels), prompt, multimask_output=False).masks[0]
    mask = coco.decode(prediction["masks"][0]).astype(bool)
    assert (mask & expected).sum() / (mask | expected).sum() >= LEAST_IOU


def test_01_images_are_uploaded_once(platform: Operator) -> None:
    assert platform.json("images", "upload", "photos")["sent"] == 3
    assert platform.json("images", "upload", "photos")["sent"] == 0


def test_02_the_model_is_released_to_the_endpoint(serving: Operator) -> None:
    assert serving.deployment.endpoint_resource_name.startswith("projects/")
    (row,) = serving.json("model", "list")
    assert (row["version"], row["traffic_percent"]) == ("1", 100)


def test_03_the_sdk_predicts(serving: Operator, engine: Engine) -> None:
    from google.cloud import aiplatform

    deployment = serving.deployment
    aiplatform.init(project=serving.project, location=deployment.region)
    endpoint = aiplatform.Endpoint(deployment.endpoint_resource_name)
    dedicated = deployment.endpoint_type == "dedicated"
    reply = endpoint.predict([instance(serving)], use_dedicated_endpoint=dedicated)
    assert_is_the_mask(reply.predictions[0], serving, engine)


def test_04_curl_predicts(serving: Operator, engine: Engine) -> None:
    """A dedicated endpoint answers under its own host name."""
    deployment = serving.deployment
    host = f"{deployment.region}-aiplatform.googleapis.com"
    if deployment.endpoint_type == "dedicated":
        host = deployment.endpoint_dns.removeprefix("https://")
    (serving.home / "request.json").write_text(json.dumps({"instances": [instance(serving)]}))
    reply = serving.curl(
        *("--header", "Content-Type: application/json", "--data", "@request.json"),
        f"https://{host}/v1/{deployment.endpoint_resource_name}:predict",
    )
    assert "predictions" in reply, reply
    assert_is_the_mask(reply["predictions"][0], serving, engine)


def test_05_a_batch_with_a_broken_image_does_the_others(serving: Operator) -> None:
    summary = serving.json("batch-predict", "photos", "--output", "batch")
    assert (summary["images"], summary["failed"]) == (3, 1)
    failed = (serving.home / "batch" / "failed.jsonl").read_text("utf-8")
    assert json.loads(failed)["image"] == "broken.jpg"


def test_06_the_pipeline_runs_on_a_cpu(serving: Operator) -> None:
    """One shard without accelerator: new projects have no quota for one in training."""
    deployment = serving.deployment
    summary = serving.json(
        *("run", deployment.images_uri, "--engine", "vertex", "--accelerator", "none"),
        *("--output", f"{deployment.pipeline_uri}/live", "--points-per-side", "4"),
    )
    assert (summary["images"], summary["failed"]) == (3, 1)


def test_07_versions_are_listed_with_what_they_cost(serving: Operator) -> None:
    (row,) = serving.json("model", "list")
    assert row["usd_an_hour"] > 0
    assert {"live", "default"} <= set(row["aliases"])


def test_08_what_runs_is_named_with_its_cost(serving: Operator) -> None:
    rows = {row["what"]: row for row in serving.json("cost")["rows"]}
    (bench,) = [name for name in rows if name.startswith("Workbench ")]
    assert rows[bench]["usd_an_hour"] > 0
    assert any(name.startswith("bucket ") for name in rows)


def test_09_another_shell_destroys_everything(serving: Operator) -> None:
    """It knows neither image nor checkpoint; the state does."""
    serving.destroy()


def test_10_nothing_is_left(operator: Operator) -> None:
    """As gcloud sees it. Enabled APIs stay on purpose."""
    if not operator.destroyed:
        pytest.skip("nothing was deployed and destroyed before")
    deployment = operator.deployment
    region = ("--region", deployment.region)
    assert _ours(operator.gcloud("ai", "endpoints", "list", *region), "name") == []
    assert _ours(operator.gcloud("ai", "models", "list", *region), "name") == []
    zone = ("--location", deployment.workbench_zone)
    assert _ours(operator.gcloud("workbench", "instances", "list", *zone), "name") == []
    assert _ours(operator.gcloud("storage", "buckets", "list"), "name") == []
    location = ("--location", deployment.region)
    assert _ours(operator.gcloud("artifacts", "repositories", "list", *location), "name") == []
    assert _ours(operator.gcloud("iam", "service-accounts", "list"), "email") == []


def _ours(rows: list[dict[str, Any]], key: str) -> list[str]:
    """What of a listing carries our prefix."""
    return [row[key] for row in rows if PREFIX in row[key].rpartition("/")[2]]
