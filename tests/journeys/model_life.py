"""What a model lives through while it is deployed, by the real tools: cdktf, Terraform, the SDK.

Clients ask it in every way, somebody undeploys it by hand, another checkpoint replaces it under
load, a corrupt one fails to, and it comes back. Everything but Google's own side is real; that is
the stand-ins'. The journey of test_rehearse.py deploys it first and destroys it afterwards.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image
from pycocotools import mask as coco

from scripts.checkout import ROOT, STACKS
from scripts.rehearsal.google_provider.objects import Objects
from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.prompts import Prompt
from tests.conftest import draw_scene
from tests.contracts import pages
from tests.journeys.rehearsed_operator import Operator

BUCKET = "rehearsed-project-sam"


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
    expected = engine.predict(engine.embed(scene), prompt, multimask_output=False)
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
    prediction = endpoint.predict(instances=[instance]).predictions[0]
    assert np.array_equal(coco.decode(prediction["masks"][0]).astype(bool), expected.masks[0])
    plain = {key: value for key, value in instance.items() if key != "input_point"}
    automatic = endpoint.predict(instances=[plain]).predictions[0]
    assert [mask["segmentation"] for mask in automatic["masks"]] == [
        mask["segmentation"] for mask in everything
    ]
    asked = ask_as_the_page_does(operator, scene)
    click = Prompt(points=((300, 200),), labels=(1,))
    large = np.asarray(Image.open(operator.home / "photo.jpg"))
    best_of_three = engine.predict(engine.embed(large), click, multimask_output=True)
    for mask, rle in zip(best_of_three.masks, asked["predictions"][0]["masks"], strict=True):
        assert np.array_equal(coco.decode(rle).astype(bool), mask)
    operator.run("predict", str(path), "--point", "80,95", "--endpoint", "--output", str(folder))
    saved = json.loads((folder / "scene.png.masks.json").read_text())
    # For one point the command asks for three candidates and keeps the best.
    candidates = engine.predict(engine.embed(scene), prompt, multimask_output=True)
    best = candidates.masks[int(np.argmax(candidates.scores))]
    assert np.array_equal(coco.decode(saved["masks"][0]["segmentation"]).astype(bool), best)
    assert (folder / "scene.png.overlay.png").stat().st_size > 1000
    refused = operator.run("predict", str(path), "--point", "999,5", "--endpoint", expect=2)
    assert "lies outside" in refused


def ask_as_the_page_does(operator: Operator, scene: RgbImage) -> Any:
    """What docs/deploying.md types to ask by curl, as it stands; the reply."""
    page = (ROOT / "docs" / "deploying.md").read_text("utf-8")
    (code,) = [block.code for block in pages.blocks(page) if "curl --proto" in block.code]
    photo = Image.fromarray(scene).resize((400, 300))
    photo.save(operator.home / "photo.jpg", quality=95)
    environment = {**os.environ, **operator.cloud.environment()}
    programs = (operator.home / "bin", Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], cwd=operator.home, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout[done.stdout.index('{"') :])


def check_annotating(operator: Operator, engine: Engine, scene: RgbImage, folder: Path) -> None:
    """The masks of the page are the endpoint's, in its preview and in what is kept."""
    prompt = Prompt(points=((80, 95),), labels=(1,))
    expected = engine.predict(engine.embed(scene), prompt, multimask_output=True)
    click = {"points": [[80, 95]], "labels": [1]}
    with operator.annotating(folder / "scene.png", folder / "annotated") as page:
        image, headers = f"{page}/api/images/0", {"Origin": page}
        for body in ({"prompt": click}, {"prompt": click, "the image": "is at the endpoint now"}):
            reply = requests.post(f"{image}/candidates", json=body, headers=headers, timeout=60)
            assert reply.status_code == 200, reply.text
            found = [coco.decode(one["segmentation"]) for one in reply.json()["candidates"]]
            assert np.array_equal(np.array(found, bool), expected.masks)
        kept = {"prompt": click, "candidate": 2, "category": "apple"}
        reply = requests.put(f"{image}/objects/a", json=kept, headers=headers, timeout=60)
        assert reply.status_code == 200, reply.text
    (saved,) = json.loads((folder / "annotated/masks/scene.png.json").read_text())["masks"]
    assert np.array_equal(coco.decode(saved["segmentation"]).astype(bool), expected.masks[2])
    names = json.loads((folder / "annotated/annotations.json").read_text())["categories"]
    assert [row["name"] for row in names] == ["apple"]


def check_batch(operator: Operator, engine: Engine, folder: Path) -> None:
    """Local images, one cut short, one with two objects; the output is a run's, and is resumed."""
    images = folder / "images"
    images.mkdir()
    for number in range(2):
        Image.fromarray(draw_scene(160 + 8 * number, 120)).save(images / f"{number}.png")
    whole = (images / "0.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    box = (168 * 0.55, 18, 168 * 0.85, 60)
    prompts = {"1.png": [{"points": [[168 * 0.25, 48]]}, {"box": list(box)}]}
    (folder / "prompts.json").write_text(json.dumps(prompts))
    out = folder / "out"
    arguments = (
        *("batch-predict", str(images), "--output", str(out), "--batch-size", "2"),
        *("--prompts", str(folder / "prompts.json")),
    )
    summary = operator.json(*arguments)
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert {row["image"] for row in rows if row["status"] == "failed"} == {"cut.png"}
    assert (summary["images"], summary["failed"], summary["computed"]) == (3, 1, 2)
    assert (out / "report.html").exists()
    masks = json.loads((out / "masks" / "1.png.json").read_text())["masks"]
    assert len(masks) == 2
    embedding = engine.embed(draw_scene(168, 120))
    expected = engine.segment(embedding, [Prompt(box_xyxy=box)])[0]
    assert masks[1]["segmentation"] == expected["segmentation"]
    assert masks[1]["bbox"] == expected["bbox"]
    written = {path: path.stat().st_mtime_ns for path in (out / "masks").rglob("*.json")}
    operator.run(*arguments)
    assert written == {path: path.stat().st_mtime_ns for path in (out / "masks").rglob("*.json")}


def containers(home: Path) -> list[str]:
    """Processes that run in a rehearsal's images."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            folder = (process / "cwd").readlink()
        except OSError:
            continue
        if folder.is_relative_to(home / "images"):
            pids.append(process.name)
    return pids


def live_through_everything(operator: Operator, engine: Engine, folder: Path) -> None:
    """From the first request to the roll-back; afterwards version 1 serves, as before."""
    scene = draw_scene()
    assert operator.live() == "1"
    check_provider_is_our_own(operator)
    assert len(containers(operator.home)) == 1 or not Path("/proc").is_dir()
    check_predictions(operator, engine, scene, folder)
    check_annotating(operator, engine, scene, folder)
    check_repair(operator)
    check_releases(operator, folder)
    check_batch(operator, engine, folder)


def check_provider_is_our_own(operator: Operator) -> None:
    """No cache of the machine's owner holds the stand-in, where a real deployment would find it."""
    stacks = operator.home / "cdktf.out" / "stacks"
    links = list(stacks.glob("*/.terraform/providers/*/*/*/*/*"))
    assert len(links) == len(STACKS)
    for link in links:
        assert link.readlink().is_relative_to(operator.home), link.readlink()


def check_repair(operator: Operator) -> None:
    """What somebody undeployed stays so, every plan warns, and asking brings it back."""
    plan = operator.plan()
    assert "No changes" in plan
    assert "Check block" not in plan
    operator.run("model", "undeploy")
    applied = operator.terraform("apply", "-auto-approve")
    assert "no model was deployed" in " ".join(applied.split())
    assert "nothing serves" in operator.run("model", "list")
    assert "version 1" in operator.run("model", "release")
    assert operator.live() == "1"
    assert "Check block" not in operator.plan()


def check_releases(operator: Operator, folder: Path) -> None:
    """While clients never stop asking: another checkpoint, a corrupt one, and back."""
    second_checkpoint(folder / "second.pth")
    operator.run("checkpoint", "upload", str(folder / "second.pth"))
    request = {
        "image": base64.b64encode((folder / "scene.png").read_bytes()).decode(),
        "input_box": [30, 45, 130, 145],
    }
    with Load(operator, request, clients=2) as load:
        time.sleep(1)
        operator.deploy(SAM_CHECKPOINT=f"gs://{BUCKET}/sam-checkpoint/second")
        time.sleep(1)
    assert load.failures == []
    assert len(load.answers) == 2, "both versions answered"
    assert operator.live() == "2"

    # A corrupt one fails; the old still serves; its version stays in the registry.
    # Our own upload would refuse it.
    corrupt = Objects(operator.cloud.storage_url)
    corrupt.put(BUCKET, "sam-checkpoint/corrupt/corrupt.pth", os.urandom(5000))
    with Load(operator, request) as load:
        output = operator.run(
            "model", "release", "--checkpoint", f"gs://{BUCKET}/sam-checkpoint/corrupt", expect=1
        )
    assert "exited unexpectedly" in output
    assert load.failures == []
    assert [row["version"] for row in operator.versions()] == ["1", "2", "3"]
    assert operator.versions()[2]["deployed_model_ids"] == []
    assert operator.live() == "2"

    # Back to the first, and the same again is nothing to do.
    assert "version 1" in operator.run("model", "rollback")
    assert operator.live() == "1"
    released = operator.run(
        "model", "release", "--checkpoint", f"gs://{BUCKET}/sam-checkpoint/sam_vit_tiny"
    )
    assert "live already" in released
