"""Component: write the report of a run whose shards were custom jobs."""

from typing import List  # noqa: UP035  (Kubeflow reads this spelling)

from kfp import dsl


def write_report_of_jobs(
    parameters: str,
    jobs: List[str],  # noqa: UP006
    engine: str,
    visualisation: dsl.Output[dsl.Markdown],
) -> str:
    """Gather the shards' results into manifest, data set, figures and reports.

    Args:
        parameters: the run, as RunParameters.to_json gives it.
        jobs: what tells of the custom jobs; the report only has to come after them.
        engine: where the run takes place.
        visualisation: the Markdown report, for the pipeline's console.

    Returns:
        A summary of the run, as JSON.
    """
    from pipeline.run.step_process import run_step
    from pipeline.steps.write_report import summary_json, write_report_of_plan

    return summary_json(run_step(write_report_of_plan, parameters, engine, visualisation.path))
