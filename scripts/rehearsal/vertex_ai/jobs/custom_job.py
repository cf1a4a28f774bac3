"""The launcher of custom jobs, as Google's component runs it: starts a job and waits for its end.

Run by path, with the launcher's own arguments, in the place of
``google_cloud_pipeline_components.container.v1.custom_job.launcher``. The job's container is a
process here, as those of tasks are. One on spot machines that a signal ends was taken away: it is
started again, as Vertex AI does.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

# What Google's pages say of spot machines is about inference; that custom jobs are restarted as
# often, and how a container that was told to end is counted, is UNVERIFIED.
MOST_RESTARTS = 6  # "Use Spot VMs with inference": a STOCKOUT, and up to six more tries
STRATEGIES = ("STANDARD", "SPOT", "FLEX_START")
# "Schedule training jobs based on resource availability": L4, A100, H100 and newer.
FLEXIBLE = ("NVIDIA_L4", "NVIDIA_TESLA_A100", "NVIDIA_A100_80GB", "NVIDIA_H100_80GB")
# Families that "Configure compute resources for custom training" pairs with an accelerator; without
# one, those that this project uses.
MACHINES = {
    "": r"(n1|n2|e2)-(standard|highmem|highcpu)-\d+",
    "NVIDIA_TESLA_T4": r"n1-(standard|highmem|highcpu)-\d+",
    "NVIDIA_L4": r"g2-standard-\d+",
}
SEVEN_DAYS = 604_800  # the default of Scheduling.timeout (types/custom_job.py, aiplatform_v1)
PREEMPTED_AFTER_SECONDS = 2.0  # ours: a shard has begun by then
GRACE_SECONDS = 30.0  # "a best-effort period of 30 seconds" (Compute Engine, "Spot VMs")
TAKEN_AWAY = 143  # 128 + SIGTERM: a container that ended by itself when it was told to


def check(job: dict[str, object], spec: dict[str, object], scheduling: dict[str, object]) -> str:
    """Why the service refuses a job; empty where it does not."""
    machine = spec.get("machine_spec") or {}
    assert isinstance(machine, dict)  # noqa: S101  (JSON of our own component)
    accelerator = str(machine.get("accelerator_type", ""))
    strategy = scheduling.get("strategy", "STANDARD")
    pattern = MACHINES.get(accelerator)
    if pattern is None or not re.fullmatch(pattern, str(machine.get("machine_type", ""))):
        return f"Machine type {machine.get('machine_type')} does not support {accelerator!r}."
    if strategy not in STRATEGIES:
        return f"Unknown scheduling strategy {strategy}."
    if strategy == "FLEX_START" and accelerator not in FLEXIBLE:
        return f"FLEX_START does not support accelerator {accelerator!r}."
    timeout = re.fullmatch(r"(\d+)s", str(scheduling.get("timeout", "604800s")))
    if timeout is None or int(timeout[1]) > SEVEN_DAYS:
        return f"timeout {scheduling.get('timeout')} must be at most {SEVEN_DAYS}s."
    if not job.get("display_name"):
        return "display_name is required."
    return ""


def run_container(command: list[str], *, spot: bool) -> int:
    """Run a container to its end; take its machine away once where somebody has asked for it."""
    container = subprocess.Popen(command)  # noqa: S603  (the image's own)
    once = os.environ.get("REHEARSED_PREEMPTION", "")
    if spot and once and not Path(once).exists():
        Path(once).touch()
        time.sleep(PREEMPTED_AFTER_SECONDS)
        container.terminate()
        try:
            container.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            container.kill()
    return container.wait()


def main() -> int:
    """Start the job that the arguments describe, and wait until it has ended."""
    parser = argparse.ArgumentParser()
    for name in ("type", "payload", "project", "location", "gcp_resources"):
        parser.add_argument(f"--{name}", required=True)
    given, _ = parser.parse_known_args()
    job = json.loads(given.payload)
    (pool,) = job["job_spec"]["worker_pool_specs"]
    scheduling = job["job_spec"].get("scheduling", {})
    problem = check(job, pool, scheduling)
    if problem:
        print(f"400 {problem}", flush=True)
        return 1
    name = f"projects/{given.project}/locations/{given.location}/customJobs/1"
    resources = Path(given.gcp_resources)
    resources.parent.mkdir(parents=True, exist_ok=True)
    uri = f"https://{given.location}-aiplatform.googleapis.com/v1/{name}"
    content = {"resources": [{"resourceType": "CustomJob", "resourceUri": uri}]}
    resources.write_text(json.dumps(content), "utf-8")
    container = pool["container_spec"]
    command = [*container["command"], *container.get("args", [])]
    if command[0] == "python":
        command[0] = sys.executable
    for attempt in range(MOST_RESTARTS + 1):
        code = run_container(command, spot=scheduling.get("strategy") == "SPOT")
        taken_away = code < 0 or code == TAKEN_AWAY
        if not taken_away or scheduling.get("strategy") != "SPOT":
            break
        print(f"STOCKOUT: the machine was taken away ({attempt + 1}); another one", flush=True)
    return 0 if code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
