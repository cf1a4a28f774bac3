"""Component: write the report of a run."""

from typing import List  # noqa: UP035  (Kubeflow reads this spelling)


def write_report(parameters: str, row_files: List[str], engine: str) -> str:  # noqa: UP006
    """Gather the shards' results into manifest, data set, figures and reports.

    Args:
        parameters: the run, as RunParameters.to_json gives it.
        row_files: what the shards returned.
        engine: where the run takes place.

    Returns:
        A summary of the run, as JSON.
    """
    import dataclasses
    import json

    from pipeline.steps.write_report import write_report as step
    from pipeline.task import run_step

    return json.dumps(dataclasses.asdict(run_step(step, parameters, row_files, engine)))
