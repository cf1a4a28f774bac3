"""Component: write the report of a run."""

from typing import List  # noqa: UP035  (Kubeflow reads this spelling)

from kfp import dsl


def write_report(
    parameters: str,
    row_files: List[str],  # noqa: UP006
    engine: str,
    visualisation: dsl.Output[dsl.Markdown],
) -> str:
    """Gather the shards' results into manifest, data set, figures and reports.

    Args:
        parameters: the run, as RunParameters.to_json gives it.
        row_files: what the shards returned.
        engine: where the run takes place.
        visualisation: the Markdown report, for the pipeline's console.

    Returns:
        A summary of the run, as JSON.
    """
    from pipeline.run.step_process import run_step
    from pipeline.steps.write_report import summary_json
    from pipeline.steps.write_report import write_report as step

    return summary_json(run_step(step, parameters, row_files, engine, visualisation.path))
