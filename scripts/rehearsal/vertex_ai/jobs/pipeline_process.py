"""One pipeline job: Kubeflow's local runner on the compiled graph, in a process of its own.

Run by path, with the image's files first on PYTHONPATH: the steps are those of the image.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

LAUNCHER = "google_cloud_pipeline_components.container.v1.custom_job.launcher"
TAKEN_AWAY = "REHEARSED_PREEMPTION"  # names a file, which exists once a machine was taken away
_CUSTOM_JOB = Path(__file__).with_name("custom_job.py")


def with_own_launcher(graph: dict[str, Any], project: str, location: str) -> dict[str, Any]:
    """A graph whose custom jobs are started by the stand-in of Google's launcher.

    Kubeflow's local runner runs no containers, and tells them from Python steps by the name of a
    module among their arguments.
    """
    text = json.dumps(graph)
    text = text.replace("{{$.pipeline_google_cloud_project_id}}", project)
    text = text.replace("{{$.pipeline_google_cloud_location}}", location)
    changed: dict[str, Any] = json.loads(text)
    for executor in changed["deploymentSpec"]["executors"].values():
        container = executor.get("container", {})
        if LAUNCHER in container.get("command", []):
            # The runner puts this process's Python for these letters, wherever they stand
            # (replace_python_executable, kfp/local/subprocess_task_handler.py, 2.17.0).
            container["command"] = ["python3", str(_CUSTOM_JOB)]
            container["args"] = [*container["args"], "kfp.dsl.executor_main"]
    return changed


def main() -> None:
    """Run the graph of ``job.json`` in the folder that the first argument names."""
    home = Path(sys.argv[1])
    job = json.loads((home / "job.json").read_text("utf-8"))
    os.environ["SAM_RUN_OWNER"] = str(os.getpid())  # a container ends with its machine
    if job["taken_away"]:
        os.environ[TAKEN_AWAY] = str(home / "taken-away")
    from kfp import components, local

    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(home / "outputs"),
        workspace_root=str(home / "workspace"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # limits and machines mean nothing here
        spec = with_own_launcher(job["pipelineSpec"], job["project"], job["location"])
        graph = components.load_component_from_text(json.dumps(spec))
        graph(**job["parameters"])


if __name__ == "__main__":
    main()
