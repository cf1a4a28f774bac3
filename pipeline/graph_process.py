"""The process in which Kubeflow's local runner walks through the graph.

:mod:`pipeline.local_engine` starts and, where somebody interrupts the run, ends it. Kubeflow runs
the shards from threads of its own that nobody can stop: they would start the next shard instead.
A process with all that it has started ends at once.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from pipeline.definition import define_pipeline
from pipeline.run.parameters import RunParameters
from pipeline.run.step_process import OWNER_VARIABLE, end_with_owner, record_error

RESERVE = "reserve"  # room for the error of a full disk; the owner writes it
SUMMARY, FAILURE = "summary.json", "failure.txt"  # which of them it leaves says how the run ended


def main() -> int:
    """Read the order from standard input, run the graph, leave the result in the run's folder."""
    order: dict[str, Any] = json.load(sys.stdin)
    end_with_owner(os.environ[OWNER_VARIABLE])
    from kfp import local

    root = Path(order["scratch"])
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(root / "outputs"),
        workspace_root=str(root / "workspace"),
    )
    # Display names are for the console of a real Kubeflow.
    warnings.filterwarnings("ignore", message=".*no effect in the current local")
    try:
        return _run(order["parameters"], root)
    except Exception as error:  # of the runner itself: no room for its files, say
        (root / RESERVE).unlink(missing_ok=True)
        record_error(RunParameters.from_json(order["parameters"]), error)
        raise


def _run(parameters: Any, root: Path) -> int:
    try:
        task = define_pipeline()(parameters=parameters)
    except RuntimeError as error:  # Kubeflow's, where a step failed
        (root / FAILURE).write_text(str(error), "utf-8")
        return 1
    (root / SUMMARY).write_text(task.output, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
