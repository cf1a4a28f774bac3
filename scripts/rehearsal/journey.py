"""The whole journey in a local cloud, step by step, from deploy to destroy."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from scripts.checkout import PLATFORM, STACKS
from scripts.rehearsal import local_cloud
from scripts.rehearsal.journey_tools import (
    cdktf,
    fetch_folder,
    inject_fault,
    interrupted_sam_vertex,
    sam_vertex,
    sam_vertex_json,
)
from scripts.rehearsal.remains import remains, resource_count
from scripts.rehearsal.scenes import IMAGES, PROMPTS, write_scenes
from scripts.terminal.errors import OperatorError
from scripts.terminal.step_list import StepList

FLAGS = ("--auto-approve",)
STEPS = (
    "start the local cloud",
    "deploy both stacks",
    "build the image",
    "upload the checkpoint",
    "upload the images",
    "interrupt a release",
    "release the model",
    "predict with a prompt",
    "predict without",
    "batch prediction",
    "run the pipeline on Vertex",
    "lose a spot machine, leave the run and rejoin it",
    "fetch the report",
    "what it costs",
    "destroy everything",
    "prove that nothing is left",
)


class Journey:
    """One rehearsal.

    Args:
        output: folder for what it leaves: report, predictions, outputs of the stacks, logs.
        new_project: whether the project was made today.
    """

    def __init__(self, output: Path, *, new_project: bool = True) -> None:
        self._output, self._new_project = output, new_project
        self._steps = StepList(list(STEPS))
        self._settings: dict[str, str] = {}
        self._summary: dict[str, Any] = {}
        self._cloud: local_cloud.Cloud
        self._platform: dict[str, Any]  # outputs of that stack

    def run(self) -> dict[str, Any]:
        """Take every step.

        Returns:
            Counts, seconds and the path of the report.

        Raises:
            OperatorError: a step failed, or something was left.
        """
        self._output.mkdir(parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix="sam-rehearsal-"))
        try:
            with self._steps.shown():
                with self._steps.step("start the local cloud"):
                    self._cloud = local_cloud.start(home, new_project=self._new_project)
                self._deploy()
                self._release()
                self._predict()
                self._run_pipeline()
                self._destroy()
        finally:
            local_cloud.stop(home, keep=True)
            self._keep_logs(home)
            shutil.rmtree(home, ignore_errors=True)
        return {
            **self._summary,
            "seconds": round(self._steps.seconds, 1),
            "steps": self._steps.timings(),
        }

    def _deploy_stacks(self) -> None:
        arguments = ("deploy", *STACKS, *FLAGS, "--outputs-file", str(self._outputs_path))
        cdktf(self._cloud, *arguments, settings=self._settings)

    @property
    def _outputs_path(self) -> Path:
        return self._cloud.home / "outputs.json"

    def _deploy(self) -> None:
        with self._steps.step("deploy both stacks") as notes:
            self._deploy_stacks()
            count = resource_count(self._cloud)
            self._summary["resources"] = count
            notes.append(f"{count} resources")

    def _release(self) -> None:
        cloud, step = self._cloud, self._steps.step
        with step("build the image") as notes:
            image = sam_vertex_json(cloud, "image", "build")["image"]
            notes.append(image.rpartition("@")[2][:19])
        with step("upload the checkpoint") as notes:
            checkpoint = sam_vertex_json(cloud, "checkpoint", "upload", "vit_tiny")["checkpoint"]
            notes.append(checkpoint)
        with step("upload the images") as notes:
            write_scenes(cloud.home / "images")
            upload = sam_vertex_json(cloud, "images", "upload", "images")
            notes.append(f"{upload['sent']} images, one of them broken")
        with step("interrupt a release") as notes:
            said = interrupted_sam_vertex(
                cloud,
                "deploying version",
                *("model", "release", "--image", image, "--checkpoint", checkpoint),
            )
            rows = sam_vertex_json(cloud, "model", "list")
            if any(row["deployed_model_ids"] for row in rows):
                raise self._failure(f"an interrupted release left {rows}: {said}", "its log is in")
            notes.append("nothing of it is deployed")
        with step("release the model") as notes:
            self._settings |= {"SAM_IMAGE": image, "SAM_CHECKPOINT": checkpoint}
            self._deploy_stacks()
            # The description of what was deployed, for whoever reads it afterwards.
            shutil.copy(self._outputs_path, self._output / "outputs.json")
            self._platform = json.loads(self._outputs_path.read_text("utf-8"))[PLATFORM]
            newest = sam_vertex_json(cloud, "model", "list")[0]
            notes.append(f"version {newest['version']}, {newest['traffic_percent']} % of traffic")

    def _predict(self) -> None:
        cloud, step = self._cloud, self._steps.step
        command = ("predict", "images/scene-0.png", "--endpoint", "--output", "predictions")
        for title, prompt in (
            ("predict with a prompt", ("--point", "140,120")),
            ("predict without", ()),
        ):
            with step(title) as notes:
                stdout = sam_vertex(cloud, *command, *prompt)
                notes.append(stdout.splitlines()[0].partition(":")[0])
        predictions = self._output / "predictions"
        shutil.copytree(cloud.home / "predictions", predictions, dirs_exist_ok=True)
        with step("batch prediction") as notes:
            (cloud.home / "prompts.json").write_text(json.dumps(PROMPTS), "utf-8")
            batch = sam_vertex_json(
                cloud,
                *("batch-predict", self._platform["images_uri"]),
                *("--prompts", "prompts.json", "--output", "batch"),
                *("--batch-size", "1"),  # so the broken image is alone in its request
            )
            if (batch["images"], batch["failed"]) != (IMAGES + 1, 1):
                raise self._failure(f"the batch prediction ended as {batch}", "its log is in")
            notes.append(f"{batch['images']} images, {batch['failed']} failed as expected")

    def _run_pipeline(self) -> None:
        cloud, step = self._cloud, self._steps.step
        output_uri = f"{self._platform['pipeline_uri']}/rehearsed"
        with step("run the pipeline on Vertex") as notes:
            run = sam_vertex_json(
                cloud,
                *("run", self._platform["images_uri"], "--engine", "vertex"),
                *("--output", output_uri, "--prompts", "prompts.json", "--shards", "2"),
            )
            if (run["images"], run["failed"]) != (IMAGES + 1, 1):
                raise self._failure(
                    f"the run has {run['images']} images and {run['failed']} failed, "
                    f"not {IMAGES + 1} and 1",
                    "its log is in",
                )
            self._summary |= {"images": run["images"] - run["failed"], "masks": run["masks"]}
            notes.append(f"{run['images']} images, {run['masks']} masks, 1 failed as expected")
        with step("lose a spot machine, leave the run and rejoin it") as notes:
            inject_fault(cloud, method="pipelineJobs", kind="preemption")
            inputs = [f"{self._platform['images_uri']}/scene-{number}.png" for number in range(3)]
            spot = ("--capacity", "spot", "--accelerator", "NVIDIA_L4", "--detach")
            output = ("--engine", "vertex", "--output", f"{self._platform['pipeline_uri']}/spot")
            name = sam_vertex_json(cloud, "run", *inputs, *output, *spot)["run"]
            joined = sam_vertex_json(cloud, "run", "--attach", name)
            log = (cloud.home / "logs" / f"pipeline-{name}.log").read_text("utf-8", "replace")
            if (joined["images"], joined["failed"]) != (3, 0) or "STOCKOUT" not in log:
                raise self._failure(f"the spot run ended as {joined}", "its log is in")
            notes.append("3 images, on the second machine")
        with step("fetch the report") as notes:
            target = self._output / "run"
            shutil.rmtree(target, ignore_errors=True)
            count = fetch_folder(cloud, output_uri, target)
            self._summary["report"] = str(target / "report.html")
            notes.append(f"{count} files")
        with step("what it costs") as notes:
            cost = sam_vertex_json(cloud, "cost", "--run", output_uri)
            rows = sam_vertex_json(cloud, "cost")["rows"]
            usd_an_hour = sum(row["usd_an_hour"] or 0.0 for row in rows)
            self._summary["usd_an_hour_deployed"] = round(usd_an_hour, 3)
            self._summary["seconds_of_the_run"] = cost["seconds"]["actual"]
            notes.append(f"${usd_an_hour:.2f} an hour while it is deployed")

    def _destroy(self) -> None:
        with self._steps.step("destroy everything"):
            # As from another shell, which knows neither image nor checkpoint.
            for name in ("SAM_IMAGE", "SAM_CHECKPOINT"):
                self._settings.pop(name, None)
            self._settings["SAM_FORCE_DESTROY"] = "true"  # the bucket holds data
            cdktf(self._cloud, "destroy", *STACKS, *FLAGS, settings=self._settings)
        with self._steps.step("prove that nothing is left") as notes:
            left = remains(self._cloud)
            if left:
                raise self._failure(f"destroy left {', '.join(left)}", "the logs are in")
            notes.append("no resource, model, endpoint, object or container")

    def _failure(self, message: str, hint: str) -> OperatorError:
        return OperatorError(message, hint=f"{hint} {self._output / 'logs'}", exit_code=1)

    def _keep_logs(self, home: Path) -> None:
        logs = self._output / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True, exist_ok=True)
        for path in (*home.glob("*.log"), *home.glob("logs/*.log")):
            shutil.copy(path, logs)
