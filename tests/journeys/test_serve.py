"""The model's whole life through the real tools: cdktf, Terraform, the SDK, the model server.

Deploy, predict in every way, release under load, a release that fails, roll back, batch
prediction, destroy. Everything but Google's own side is real; that is the stand-ins'.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from pycocotools import mask as coco

from scripts.checkout import ROOT, STACKS
from scripts.rehearsal import journey_tools as deploy
from scripts.rehearsal import local_cloud as clouds
from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.prompts import Prompt
from tests.conftest import draw_scene

CDKTF = ROOT / "node_modules" / ".bin" / "cdktf"
PROGRAM = str(Path(sys.executable).with_name("sam-vertex"))
FLAGS = ("--auto-approve", "--skip-provider-lock")
BUCKET = "rehearsed-project-sam"
pytestmark = pytest.mark.skipif(
    not CDKTF.exists(), reason="cdktf is not installed here; make setup does where npm is"
)


class Operator:
    """Someone at a shell that is pointed at the rehearsal."""

    def __init__(self, cloud: clouds.Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud, self._monkeypatch = cloud, monkeypatch
        self.home = cloud.home
        self.outputs = str(cloud.home / "outputs.json")

    def cdktf(self, *words: str) -> None:
        deploy.cdktf(self.cloud, *words)

    def deploy(self, *stacks: str, **settings: str) -> None:
        for name, value in settings.items():
            self._monkeypatch.setenv(name, value)
        stacks = stacks or STACKS
        self.cdktf("deploy", *stacks, *FLAGS, "--outputs-file", self.outputs)

    def plan(self) -> str:
        """What Terraform would change in what serves."""
        return self.terraform("plan")

    def terraform(self, *words: str) -> str:
        """Terraform itself, on what cdktf has synthesized for what serves."""
        done = subprocess.run(
            ["terraform", *words, "-no-color"],
            cwd=self.home / "cdktf.out" / "stacks" / "sam-serving",
            env={
                **os.environ, **self.cloud.environment(),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    def json(self, *words: str) -> Any:
        """What a command prints with ``--json``."""
        return json.loads(self._finished(*words, "--json").stdout)

    def run(self, *words: str, expect: int = 0) -> str:
        """What a command says, on either stream."""
        done = self._finished(*words, expect=expect)
        return done.stdout + done.stderr

    def _finished(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.cloud.environment()}
        done = subprocess.run(
            [PROGRAM, *words], cwd=self.home, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    def versions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("model", "list")
        return found

    def live(self) -> str:
        (found,) = [row["version"] for row in self.versions() if row["traffic_percent"] == 100]
        return str(found)

    def world(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cloud.world_path.read_text())
        return found


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    home = tmp_path / "cloud"
    yield Operator(clouds.start(home), monkeypatch)
    clouds.stop(home)


def iou(first: Any, second: Any) -> float:
    return float((first & second).sum() / max((first | second).sum(), 1))


class Load:
    """Clients that never stop asking the endpoint by the SDK, and remember every answer."""

    def __init__(self, operator: Operator, instance: dict[str, Any], clients: int = 1) -> None:
        self._operator, self._instance = operator, instance
        self._stop = threading.Event()
        self.failures: list[str] = []
        self.answers: dict[str, int] = {}
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import aiplatform

        endpoint = aiplatform.Endpoint(
            "projects/rehearsed-project/locations/us-west1/endpoints/sam-endpoint",
            credentials=AnonymousCredentials(),
        )
        while not self._stop.is_set():
            try:
                reply = endpoint.predict(instances=[self._instance])
                with self._lock:
                    id_ = str(reply.deployed_model_id)
                    self.answers[id_] = self.answers.get(id_, 0) + len(reply.predictions)
            except Exception as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            time.sleep(0.1)

    def __enter__(self) -> Load:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import aiplatform

        aiplatform.init(
            project="rehearsed-project", location="us-west1", credentials=AnonymousCredentials(),
            api_endpoint=self._operator.cloud.vertex_url, api_transport="rest",
        )  # fmt: skip
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def second_checkpoint(path: Path) -> None:
    """Other weights that work as well: the embedded ones, a hair moved."""
    import torch

    from serving.sam.known_checkpoints import CHECKPOINTS

    source = CHECKPOINTS["vit_tiny"].embedded_path
    assert source is not None
    weights = torch.load(source, weights_only=True)
    weights["mask_decoder.iou_prediction_head.layers.2.bias"] += 0.01
    torch.save(weights, path)


def check_predictions(operator: Operator, engine: Engine, scene: RgbImage, folder: Path) -> None:
    """SDK, plain HTTPS and the command line give the engine's own masks."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    path = folder / "scene.png"
    Image.fromarray(scene).save(path)
    prompt = Prompt(points=((80, 95),), labels=(1,))
    wanted = engine.predict(engine.embed(scene), prompt, multimask_output=False)
    everything = json.loads(json.dumps(engine.generate(scene)))
    instance = {
        "file_path": "scene.png", "image": base64.b64encode(path.read_bytes()).decode(),
        "input_point": [80, 95],
    }  # fmt: skip
    aiplatform.init(
        project="rehearsed-project", location="us-west1", credentials=AnonymousCredentials(),
        api_endpoint=operator.cloud.vertex_url, api_transport="rest",
    )  # fmt: skip
    endpoint = aiplatform.Endpoint("sam-endpoint")
    found = endpoint.predict(instances=[instance]).predictions[0]
    assert np.array_equal(coco.decode(found["masks"][0]).astype(bool), wanted.masks[0])
    plain = {key: value for key, value in instance.items() if key != "input_point"}
    automatic = endpoint.predict(instances=[plain]).predictions[0]
    assert [one["segmentation"] for one in automatic["masks"]] == [
        one["segmentation"] for one in everything
    ]
    # What curl does: one POST to the endpoint's own name.
    reply = requests.post(
        f"https://{endpoint.dedicated_endpoint_dns}/v1/{endpoint.resource_name}:predict",
        json={"instances": [instance]},
        verify=str(operator.home / "vertex.pem"), timeout=60,
    )  # fmt: skip
    assert reply.status_code == 200
    assert reply.json()["predictions"][0]["masks"] == found["masks"]
    operator.run("predict", str(path), "--point", "80,95", "--endpoint", "--output", str(folder))
    saved = json.loads((folder / "scene.png.masks.json").read_text())
    assert saved["masks"][0]["segmentation"] == found["masks"][0]
    assert (folder / "scene.png.overlay.png").stat().st_size > 1000
    operator.run("predict", str(path), "--endpoint", "--output", str(folder))
    saved = json.loads((folder / "scene.png.masks.json").read_text())
    assert len(saved["masks"]) == len(everything)
    refused = operator.run("predict", str(path), "--point", "999,5", "--endpoint", expect=1)
    assert "lies outside" in refused


def check_batch(operator: Operator, engine: Engine, folder: Path) -> None:
    """Twenty images, two of them broken, some prompted; the output is a run's."""
    images = folder / "images"
    images.mkdir()
    prompts: dict[str, Any] = {}
    for number in range(18):
        size = (160 + 8 * number, 120)
        Image.fromarray(draw_scene(*size)).save(images / f"{number:02d}.png")
        if number % 3 == 0:
            prompts[f"{number:02d}.png"] = {"1": [[size[0] * 0.25, 48]]}
        elif number % 3 == 1:
            prompts[f"{number:02d}.png"] = [
                {"points": [[size[0] * 0.25, 48]]},
                {"box": [size[0] * 0.55, 18, size[0] * 0.85, 60]},
            ]
    (images / "broken.png").write_bytes(b"no image at all")
    whole = (images / "00.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "prompts.json").write_text(json.dumps(prompts))
    out = folder / "out"
    words = (
        "batch-predict", str(images), "--output", str(out), "--prompts",
        str(folder / "prompts.json"), "--batch-size", "3",
    )  # fmt: skip
    summary = operator.json(*words)
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    failed = {row["image"]: row["reason"] for row in rows if row["status"] == "failed"}
    assert set(failed) == {"broken.png", "cut.png"}
    assert (summary["images"], summary["failed"], summary["computed"]) == (20, 2, 18)
    assert len(rows) == 20
    assert (out / "report.html").exists()
    masks = json.loads((out / "masks" / "01.png.json").read_text())["masks"]
    assert len(masks) == 2
    pixels = draw_scene(168, 120)
    prompt = Prompt(box_xyxy=(168 * 0.55, 18, 168 * 0.85, 60))
    wanted = engine.segment(engine.embed(pixels), [prompt])[0]
    assert masks[1]["segmentation"] == wanted["segmentation"]
    assert masks[1]["bbox"] == wanted["bbox"]
    written = {path: path.stat().st_mtime_ns for path in (out / "masks").rglob("*.json")}
    operator.run(*words)
    assert written == {path: path.stat().st_mtime_ns for path in (out / "masks").rglob("*.json")}


def containers(home: Path) -> list[str]:
    """Processes that run in a rehearsal's images."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
        except OSError:
            continue
        if where.is_relative_to(home / "images"):
            found.append(process.name)
    return found


def test_the_whole_life_of_a_model(
    operator: Operator,
    engine: Engine,
    scene: RgbImage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # This process is a client as well, and trusts the endpoint's name.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(operator.home / "vertex.pem"))

    # A platform and an endpoint without model, an image, a checkpoint.
    operator.deploy(SAM_FORCE_DESTROY="true")
    image = operator.json("image", "build")["image"]
    operator.run("checkpoint", "upload", "vit_tiny")

    # Deploy, predict in every way.
    operator.deploy(SAM_IMAGE=image, SAM_CHECKPOINT=f"gs://{BUCKET}/sam-checkpoint/sam_vit_tiny")
    assert operator.live() == "1"
    assert len(containers(operator.home)) == 1 or not Path("/proc").is_dir()
    check_predictions(operator, engine, scene, tmp_path)

    # What somebody undeployed by hand comes back, and the plan after that is empty.
    assert "No changes" in operator.plan()
    operator.run("model", "undeploy")
    changed = operator.plan()
    assert "must be" in changed
    assert "repairs" in changed
    operator.terraform("apply", "-auto-approve")
    assert operator.live() == "1"
    assert "No changes" in operator.plan()

    # Another checkpoint through Terraform while clients never stop asking.
    second_checkpoint(tmp_path / "second.pth")
    operator.run("checkpoint", "upload", str(tmp_path / "second.pth"))
    asked = {
        "image": base64.b64encode((tmp_path / "scene.png").read_bytes()).decode(),
        "input_box": [30, 45, 130, 145],
    }
    with Load(operator, asked, clients=2) as load:
        time.sleep(1)
        operator.deploy(SAM_CHECKPOINT=f"gs://{BUCKET}/sam-checkpoint/second")
        time.sleep(1)
    assert load.failures == []
    assert len(load.answers) == 2, "both versions answered"
    assert operator.live() == "2"

    # A corrupt one fails; the old still serves, and no trace of the try is left.
    (tmp_path / "corrupt.pth").write_bytes(os.urandom(5000))
    operator.run("checkpoint", "upload", str(tmp_path / "corrupt.pth"))
    with Load(operator, asked) as load:
        said = operator.run(
            "model", "release", "--checkpoint", f"gs://{BUCKET}/sam-checkpoint/corrupt", expect=1
        )
    assert "exited unexpectedly" in said
    assert load.failures == []
    assert [row["version"] for row in operator.versions()] == ["1", "2"]
    assert operator.live() == "2"

    # Back to the first, and the same again is nothing to do.
    assert "version 1" in operator.run("model", "rollback")
    assert operator.live() == "1"
    released = operator.run(
        "model", "release", "--checkpoint", f"gs://{BUCKET}/sam-checkpoint/sam_vit_tiny"
    )
    assert "live already" in released

    check_batch(operator, engine, tmp_path)

    # Nothing of ours is left.
    operator.cdktf("destroy", *STACKS, *FLAGS)
    world = operator.world()
    assert not any(world["resources"].values())
    assert world["vertex"]["models"] == {}
    assert world["vertex"]["deployments"] == {}
    listed = requests.get(f"{operator.cloud.storage_url}/storage/v1/b", timeout=10).json()
    assert listed.get("items", []) == []
    assert not containers(operator.home)
