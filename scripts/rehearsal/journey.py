"""The whole journey in a local cloud, step by step, from deploy to destroy."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from scripts.checkout import STACKS
from scripts.rehearsal import local_cloud as cloud
from scripts.rehearsal.journey_tools import cdktf, sam_vertex, world_of
from scripts.terminal.errors import OperatorError
from scripts.terminal.step_list import StepList

FLAGS = ("--auto-approve", "--skip-provider-lock")  # locking asks the network
STEPS = (
    "start the local cloud",
    "deploy both stacks",
    "build the image",
    "upload the checkpoint",
    "upload the images",
    "release the model",
    "predict with a prompt",
    "predict without",
    "batch prediction",
    "run the pipeline on Vertex",
    "fetch the report",
    "what it costs",
    "destroy everything",
    "prove that nothing is left",
)
PROMPTS = {"scene-0.png": {"1": [[140, 120]]}, "scene-2.png": [{"box": [176, 34, 274, 122]}]}


def write_scenes(folder: Path, count: int = 6) -> None:
    """Write pictures with plain things in them, and one file that is no image."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = Image.new("RGB", (320, 240), (236, 232, 224))
        draw = ImageDraw.Draw(image)
        left = 20 + 8 * number
        draw.ellipse((60, 40, 220, 200), fill=(200, 40, 40))
        draw.rectangle((176 + left // 4, 34, 274 + left // 4, 122), fill=(30, 80, 190))
        draw.ellipse((left, 170, left + 60, 230), fill=(40, 140, 60))
        image.save(folder / f"scene-{number}.png")
    (folder / "broken.jpg").write_bytes(b"not an image")


@dataclasses.dataclass
class Journey:
    """One rehearsal.

    Attributes:
        output: what it leaves.
    """

    output: Path

    def run(self) -> dict[str, Any]:
        """Take every step.

        Raises:
            OperatorError: a step failed, or something was left.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        self._steps = StepList(list(STEPS))
        home = Path(tempfile.mkdtemp(prefix="sam-rehearsal-"))
        self._settings = {"SAM_FORCE_DESTROY": "true"}  # the bucket will hold data
        self._summary: dict[str, Any] = {}
        try:
            with self._steps.shown():
                with self._steps.step("start the local cloud"):
                    self._cloud = cloud.start(home)
                self._deploy()
                self._predict()
                self._run_pipeline()
                self._destroy()
        finally:
            cloud.stop(home, keep=True)
            self._keep_logs(home)
            shutil.rmtree(home, ignore_errors=True)
        return {
            **self._summary,
            "seconds": round(self._steps.seconds, 1),
            "steps": self._steps.timings(),
        }

    def _vertex(self, *words: str) -> dict[str, Any]:
        """Our own command with ``--json``."""
        found: dict[str, Any] = json.loads(sam_vertex(self._cloud, *words, "--json"))
        return found

    def _cdktf(self, *words: str) -> None:
        cdktf(self._cloud, *words, settings=self._settings)

    def _deploy(self) -> None:
        found, step = self._cloud, self._steps.step
        outputs = found.home / "outputs.json"
        deploying = ("deploy", *STACKS, *FLAGS, "--outputs-file", str(outputs))
        with step("deploy both stacks") as notes:
            self._cdktf(*deploying)
            self._summary["resources"] = world_of(found)
            notes.append(f"{world_of(found)} resources")
        with step("build the image") as notes:
            built = self._vertex("image", "build")
            notes.append(built["image"].rpartition("@")[2][:19])
        with step("upload the checkpoint") as notes:
            uploaded = self._vertex("checkpoint", "upload", "vit_tiny")
            notes.append(uploaded["checkpoint"])
        with step("upload the images") as notes:
            write_scenes(found.home / "images")
            sent = self._vertex("images", "upload", "images")
            notes.append(f"{sent['sent']} images, one of them broken")
        with step("release the model") as notes:
            self._settings |= {
                "SAM_IMAGE": built["image"],
                "SAM_CHECKPOINT": uploaded["checkpoint"],
            }
            self._cdktf(*deploying)
            # The description of what was deployed, for whoever reads it afterwards.
            shutil.copy(outputs, self.output / "outputs.json")
            self._outputs = json.loads(outputs.read_text("utf-8"))
            rows = json.loads(sam_vertex(found, "model", "list", "--json"))
            notes.append(f"version {rows[0]['version']}, {rows[0]['traffic_percent']} % of traffic")

    def _predict(self) -> None:
        found, step = self._cloud, self._steps.step
        asked = ("predict", "images/scene-0.png", "--endpoint", "--output", "predictions")
        with step("predict with a prompt") as notes:
            said = sam_vertex(found, *asked, "--point", "140,120")
            notes.append(said.splitlines()[0].partition(":")[0])
        with step("predict without") as notes:
            said = sam_vertex(found, *asked)
            notes.append(said.splitlines()[0].partition(":")[0])
        shutil.copytree(found.home / "predictions", self.output / "predictions", dirs_exist_ok=True)
        with step("batch prediction") as notes:
            images = self._outputs["sam-platform"]["images_uri"]
            self._write_prompts()
            batch = self._vertex(
                *("batch-predict", images, "--prompts", "prompts.json", "--output", "batch")
            )
            notes.append(f"{batch['images']} images, {batch['failed']} failed as it must")

    def _write_prompts(self) -> None:
        (self._cloud.home / "prompts.json").write_text(json.dumps(PROMPTS), "utf-8")

    def _run_pipeline(self) -> None:
        found, step = self._cloud, self._steps.step
        platform = self._outputs["sam-platform"]
        place = f"{platform['pipeline_uri']}/rehearsed"
        with step("run the pipeline on Vertex") as notes:
            done = self._vertex(
                *("run", platform["images_uri"], "--engine", "vertex", "--output", place),
                *("--prompts", "prompts.json", "--shards", "2"),
            )
            if (done["images"], done["failed"]) != (7, 1):
                raise OperatorError(
                    f"the run has {done['images']} images and {done['failed']} failed, not 7 and 1",
                    hint=f"its log is in {self.output / 'logs'}",
                    exit_code=1,
                )
            self._summary |= {"images": done["images"] - done["failed"], "masks": done["masks"]}
            notes.append(f"{done['images']} images, {done['masks']} masks, 1 failed as it must")
        with step("fetch the report") as notes:
            target = self.output / "run"
            shutil.rmtree(target, ignore_errors=True)
            fetched = _fetch(found, place, target)
            self._summary["report"] = str(target / "report.html")
            notes.append(f"{fetched} files")
        with step("what it costs") as notes:
            took = self._vertex("cost", "--run", place)
            rows = self._vertex("cost")["rows"]
            hour = sum(row["usd_an_hour"] or 0.0 for row in rows)
            self._summary["usd_an_hour_deployed"] = round(hour, 3)
            self._summary["seconds_of_the_run"] = took["seconds"]["actual"]
            notes.append(f"${hour:.2f} an hour while it is deployed")

    def _destroy(self) -> None:
        found, step = self._cloud, self._steps.step
        with step("destroy everything"):
            self._cdktf("destroy", *STACKS, *FLAGS)
        with step("prove that nothing is left") as notes:
            left = what_is_left(found)
            if left:
                raise OperatorError(
                    f"destroy left {', '.join(left)}",
                    hint=f"the logs are in {self.output / 'logs'}",
                    exit_code=1,
                )
            notes.append("no resource, model, endpoint, object or container")

    def _keep_logs(self, home: Path) -> None:
        logs = self.output / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True, exist_ok=True)
        for path in (*home.glob("*.log"), *home.glob("logs/*.log")):
            shutil.copy(path, logs)


def what_is_left(found: cloud.Cloud) -> list[str]:
    """Everything that exists in the local cloud, in words."""
    import urllib.request

    vertex = json.loads(found.world_path.read_text("utf-8"))["vertex"]
    left = [f"{world_of(found)} resources"] if world_of(found) else []
    left += [f"{len(vertex[kind])} {kind}" for kind in ("models", "deployments") if vertex[kind]]
    running = [job["name"] for job in vertex["pipelines"].values() if not job.get("endTime")]
    left += [f"{len(running)} running pipelines"] if running else []
    with urllib.request.urlopen(f"{found.storage_url}/storage/v1/b", timeout=10) as reply:  # noqa: S310
        buckets = json.load(reply).get("items", [])
    return left + [f"bucket {bucket['name']}" for bucket in buckets]


def _fetch(found: cloud.Cloud, place: str, target: Path) -> int:
    """Copy a run's output here; how many files."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    bucket, _, prefix = place.removeprefix("gs://").partition("/")
    client = storage.Client(
        project="rehearsal",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": found.storage_url},
    )
    count = 0
    for blob in client.list_blobs(bucket, prefix=f"{prefix}/"):
        path = target / blob.name.removeprefix(f"{prefix}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        blob.download_to_filename(str(path))
        count += 1
    return count
