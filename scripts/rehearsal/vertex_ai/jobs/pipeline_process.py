"""One pipeline job: Kubeflow's local runner on the compiled graph, in a process of its own.

Run by path, with the image's files first on PYTHONPATH: the steps are those of the image.
"""

import json
import os
import sys
import warnings
from pathlib import Path


def main() -> None:
    """Run the graph of ``job.json`` in the folder that the first argument names."""
    home = Path(sys.argv[1])
    job = json.loads((home / "job.json").read_text("utf-8"))
    os.environ["SAM_RUN_OWNER"] = str(os.getpid())  # a container ends with its machine
    from kfp import components, local

    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(home / "outputs"),
        workspace_root=str(home / "workspace"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # limits and machines mean nothing here
        graph = components.load_component_from_text(json.dumps(job["pipelineSpec"]))
        graph(**job["parameters"])


if __name__ == "__main__":
    main()
