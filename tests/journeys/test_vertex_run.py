"""``sam-vertex run --engine vertex``: the real command, SDK and Kubeflow against the stand-in."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from scripts.checkout import PLATFORM
from scripts.rehearsal import local_cloud as clouds
from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.world import World
from serving.storage.client import storage_client
from tests import command_line
from tests.conftest import draw_scene
from tests.journeys.test_survival import workers_of
from tests.stand_ins.operator import PROGRAM, Operator
from tests.stand_ins.outputs import platform_outputs
from tests.stand_ins.vertex import grant

BUCKET = "p1-sam"
IMAGES = f"gs://{BUCKET}/batch-prediction-images"


class RunOperator(Operator):
    """An operator who runs the pipeline on Vertex AI, where a platform is deployed."""

    def run(self, name: str, *arguments: str, images: tuple[str, ...] = ()) -> list[str]:
        """The arguments of a run over some of the uploaded images, by default all six."""
        uris = [f"{IMAGES}/{image}" for image in images] or [IMAGES]
        output = f"gs://{BUCKET}/pipeline/{name}"
        options = ("--engine", "vertex", "--output", output, "--points-per-side", "4")
        return ["run", *uris, *options, *arguments]

    def names(self, prefix: str) -> list[str]:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        client = storage.Client(
            project="p1", credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.cloud.storage_url},
        )  # fmt: skip
        return [blob.name for blob in client.list_blobs(BUCKET, prefix=prefix)]

    def read(self, name: str) -> str:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        client = storage.Client(
            project="p1", credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.cloud.storage_url},
        )  # fmt: skip
        return str(client.bucket(BUCKET).blob(name).download_as_text())


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunOperator]:
    home = tmp_path_factory.mktemp("platform")
    for name in [name for name in os.environ if name.startswith("SAM_")]:
        del os.environ[name]
    cloud = clouds.start(home)
    try:
        Objects(cloud.storage_url).create_bucket(BUCKET, "p1")
        with World(cloud.world_path).open() as world:
            name = "projects/p1/locations/us-west1/repositories/sam-images"
            world["resources"]["google_artifact_registry_repository"] = {name: {"id": name}}
            world["resources"]["google_project_service"] = {
                f"p1/{api}": {"project": "p1", "service": f"{api}.googleapis.com"}
                for api in ("artifactregistry", "aiplatform", "cloudquotas")
            }
            world["resources"]["google_storage_bucket"] = {
                BUCKET: {"name": BUCKET, "project": "p1", "versioning": []}
            }
            account = platform_outputs("p1")["service_accounts"]["pipeline"]
            grant(world, account, "roles/storage.objectUser", bucket=BUCKET)
            grant(world, account, "roles/storage.legacyBucketReader", bucket=BUCKET)
            grant(world, account, "roles/aiplatform.user", project="p1")
            itself = f"projects/p1/serviceAccounts/{account}"
            grant(world, account, "roles/iam.serviceAccountUser", service_account_id=itself)
            where = {"project": "p1", "location": "us-west1", "repository": "sam-images"}
            grant(world, account, "roles/artifactregistry.reader", **where)
        (home / "outputs.json").write_text(json.dumps({PLATFORM: platform_outputs("p1")}))
        operator = RunOperator(cloud)
        operator.finished("image", "build")
        images = home / "photos"
        images.mkdir()
        for number in range(5):
            scene = draw_scene(120 + 10 * number, 100)
            Image.fromarray(scene).save(images / f"{number}.png")
        (images / "broken.jpg").write_bytes(b"no image")
        (home / "prompts.json").write_text(json.dumps({"1.png": {"1": [[30, 40]]}}))
        assert operator.json("images", "upload", "photos")["sent"] == 6
        assert operator.json("images", "upload", "photos")["sent"] == 0
        yield operator
    finally:
        clouds.stop(home)


def test_run_is_submitted_followed_and_reported(operator: RunOperator) -> None:
    command = operator.run("one", "--prompts", "prompts.json", "--shards", "2", "--max-failed", "1")
    done = operator.finished(*command)
    assert "estimate: " in done.stderr and "2026-10-04" in done.stderr
    assert "6 images: 5 done, 1 failed" in done.stdout
    assert "cost: $" in done.stdout and "failed.jsonl" in done.stdout
    names = operator.names("pipeline/one/")
    assert "pipeline/one/report.html" in names and "pipeline/one/masks/1.png.json" in names
    assert not any(name.endswith(".run.lock") for name in names)
    assert json.loads(operator.read("pipeline/one/masks/1.png.json"))["mode"] == "prompted"
    metrics = json.loads(operator.read("pipeline/one/metrics.json"))
    assert metrics["engine"] == "vertex" and metrics["forecast"]["usd"] > 0
    assert 0 < metrics["cost_usd"]["actual"] < 1
    # The step's Markdown artifact is in the pipeline root, and its links work outside the output.
    (artifact,) = [name for name in operator.names("pipeline/root/") if "visualisation" in name]
    text = operator.read(artifact)
    assert f"https://storage.cloud.google.com/{BUCKET}/pipeline/one/segments/1.png/00.png" in text
    (row, *_) = operator.json("pipeline", "list")
    assert row["state"] == "succeeded"

    again = operator.json(*command)
    assert (again["computed"], again["images"]) == (0, 6)
    assert again["report"] == f"gs://{BUCKET}/pipeline/one/report.html"
    took = operator.json("cost", "--run", f"gs://{BUCKET}/pipeline/one")
    assert took["seconds"]["actual"] > 0 and "start-up assumed" in took["basis"]


def test_run_is_left_joined_and_refuses_a_second_over_the_same_output(
    operator: RunOperator,
) -> None:
    """A refusal that somebody else's plan step leaves in the output does not end the first."""
    command = operator.run("two", "--shards", "2")
    run = operator.finished(*command, "--detach").stdout.strip()
    refused = operator.finished(*command, expect=2)
    assert "another run is writing here" in refused.stderr
    assert f"sam-vertex run --attach {run}" in refused.stderr
    deadline = time.monotonic() + 60
    while "pipeline/two/.run/planned.json" not in operator.names("pipeline/two/.run/"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    refusal = {"run": "sam-second", "kind": "RunError", "message": "another run is writing here"}
    objects = Objects(operator.cloud.storage_url)
    objects.put(BUCKET, "pipeline/two/.run/error.json", json.dumps(refusal).encode())
    joined = operator.json("run", "--attach", run)
    assert (joined["images"], joined["failed"]) == (6, 1)
    assert run in [row["run"] for row in operator.json("pipeline", "list")]
    unknown = operator.finished("run", "--attach", "sam-never", expect=2)
    assert "there is no run sam-never" in unknown.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_follower_may_leave_and_the_run_may_be_cancelled_and_finished_later(
    operator: RunOperator,
) -> None:
    command = [PROGRAM, *operator.run("three", images=("0.png", "1.png"))]
    follower = subprocess.Popen(
        command, cwd=operator.home, env=operator.environment, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert follower.stderr is not None
    run = ""
    for line in follower.stderr:
        if line.startswith("submitted "):
            run = line.split()[1]
            break
    # However slow this machine is, the job lasts until the operator ends it.
    deadline = time.monotonic() + 120
    while not (workers := workers_of(operator.cloud.pids[0])):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    follower.send_signal(signal.SIGINT)
    rest = follower.stderr.read()
    assert follower.wait(timeout=60) == 130
    assert f"left {run}, which goes on" in rest and f"--attach {run}" in rest
    operator.finished("pipeline", "cancel", run)
    ended = operator.finished("run", "--attach", run, expect=1)
    assert "cancelled" in ended.stderr
    assert not workers_of(operator.cloud.pids[0])
    later = operator.json(*command[1:])
    assert (later["images"], later["failed"]) == (2, 0)


def shard_jobs() -> list[int]:
    """The processes that stand for containers of custom jobs."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "cmdline").read_bytes().split(b"\0")[1:3] == [b"-m", b"pipeline.shard_job"]:
                found.append(int(path.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.slow  # 'rehearse' takes a machine away as well
@pytest.mark.parametrize("warned", [True, False])
def test_spot_shard_that_is_taken_away_goes_on_where_it_was(
    operator: RunOperator, warned: bool
) -> None:
    """Google says so half a minute before, or not; either way another machine takes over."""
    name = f"spot-{warned}".lower()
    command = operator.run(name, "--capacity", "spot", "--accelerator", "NVIDIA_L4")
    run = operator.finished(*command, "--detach").stdout.strip()
    deadline = time.monotonic() + 120
    while not (workers := workers_of(operator.cloud.pids[0])):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(workers[0], signal.SIGSTOP)  # so that it cannot end before it is taken away
    (job,) = shard_jobs()
    os.kill(job, signal.SIGTERM if warned else signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):  # what a machine takes along ends by itself here
        os.kill(workers[0], signal.SIGCONT)
    joined = operator.json("run", "--attach", run)
    assert (joined["images"], joined["failed"]) == (6, 1)
    metrics = json.loads(operator.read(f"pipeline/{name}/metrics.json"))
    assert metrics["forecast"]["usd_per_shard_hour"] == pytest.approx(0.8128568 * 0.6, abs=1e-4)
    assert metrics["run"]["restarts"] == (0 if warned else 1), "a warned end is no death"
    world = json.loads(operator.cloud.world_path.read_text())
    (spec,) = [
        job["pipelineSpec"]
        for job_name, job in world["vertex"]["pipelines"].items()
        if job_name.endswith(run)
    ]
    launcher = spec["deploymentSpec"]["executors"]["exec-segment-shard"]["container"]
    payload = json.loads(launcher["args"][launcher["args"].index("--payload") + 1])
    assert payload["job_spec"]["scheduling"]["strategy"] == "SPOT"
    assert payload["labels"]["run"] == run


def test_error_of_a_step_reaches_the_operator(operator: RunOperator) -> None:
    """Weights of another network: found by the step, told as the local engine tells it."""
    import torch

    weights = operator.home / "other.pth"
    torch.save({"layer.weight": torch.ones(3)}, weights)
    objects = Objects(operator.cloud.storage_url)
    objects.put(BUCKET, "sam-checkpoint/other.pth", weights.read_bytes())
    command = operator.run("four", images=("0.png",))
    other = ("--checkpoint", f"gs://{BUCKET}/sam-checkpoint/other.pth")
    done = operator.finished(*command, *other, expect=2)
    assert "not those of a Segment Anything" in done.stderr
    assert "Traceback" not in done.stderr
    mended = operator.json(*command)  # what was left of the failed run is in no way
    assert (mended["images"], mended["failed"]) == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "photos", "--engine", "vertex", "--output", f"gs://{BUCKET}/pipeline/x"],
         "images upload"),
        (["run", IMAGES, "--engine", "vertex", "--output", "x"],
         "--output x: expected a place below"),
        (["run", IMAGES, "--engine", "vertex", "--output", f"gs://{BUCKET}/pipeline/x",
          "--checkpoint", "vit_b"], "no such checkpoint"),
        (["run", IMAGES, "--engine", "vertex", "--output", f"gs://{BUCKET}/pipeline/x",
          "--shards", "0"], "shards: expected"),
        (["run", IMAGES, "--engine", "vertex", "--output", f"gs://{BUCKET}/pipeline/x",
          "--prompts", "none.json"], "none.json"),
        (["run", IMAGES, "--engine", "vertex", "--output", f"gs://{BUCKET}/pipeline/x",
          "--capacity", "flex"], "not with NVIDIA_TESLA_T4"),
        (["run", "photos"], "missing --output"),
        (["run", "--output", "x"], "missing INPUT"),
    ],
)  # fmt: skip
def test_callers_mistake_is_named_before_anything_is_submitted(
    operator: RunOperator, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def jobs() -> int:
        return len(json.loads(operator.cloud.world_path.read_text())["vertex"]["pipelines"])

    before = jobs()
    for name, value in operator.cloud.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(operator.home)
    storage_client.cache_clear()
    try:
        done = command_line.sam_vertex(*arguments)
    finally:
        storage_client.cache_clear()
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert jobs() == before


def test_cost_of_what_is_deployed_names_everything_that_bills(operator: RunOperator) -> None:
    rows = {row["what"]: row for row in operator.json("cost")["rows"]}
    bench = rows["Workbench sam-workbench, n1-standard-2"]
    assert bench["usd_an_hour"] == pytest.approx(2 * 0.04749975 + 0.35, abs=1e-4)
    assert bench["usd_a_month"] == pytest.approx(bench["usd_an_hour"] * 730, abs=0.01)
    assert any(name.startswith(f"bucket {BUCKET}") for name in rows)
    text = operator.finished("cost").stdout
    assert "2026-10-04" in text and "together" in text
    assert "not in it: container images, logs, a key, jobs that run" in text


@pytest.mark.slow
def test_experiment_runs_there_as_well(operator: RunOperator) -> None:
    result = operator.json(
        *("experiment", "photos/0.png", "--engine", "vertex", "--yes", "--sizes", "2"),
        *("--points-per-side", "2", "--output", "study"),
    )
    rows = {row["mode"]: row for row in result["rows"]}
    assert rows["automatic"]["prompted"] == 0 and rows["prompted"]["prompted"] == 1
    assert all(row["usd"] > 0.03 for row in result["rows"])  # the fee of a run is in it
    assert rows["prompted"]["report"].startswith(f"gs://{BUCKET}/pipeline/experiment/")
    assert (operator.home / "study" / "cost.png").exists()
