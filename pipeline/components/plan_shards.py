"""Component: plan the shards of a run."""

from typing import List  # noqa: UP035  (Kubeflow reads this spelling)


def plan_shards(parameters: str) -> List[str]:  # noqa: UP006
    """Find the images that are still to do and deal them into shards.

    Args:
        parameters: the run, as RunParameters.to_json gives it.

    Returns:
        The names of the shards that have work.
    """
    from pipeline.run.step_process import run_step
    from pipeline.steps.plan_shards import plan_shards as step

    return run_step(step, parameters)
