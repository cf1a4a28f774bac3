"""Component: segment one shard."""


def segment_shard(parameters: str, shard: str) -> str:
    """Segment the images of one shard.

    Args:
        parameters: the run, as RunParameters.to_json gives it.
        shard: the shard's name.

    Returns:
        The file with the shard's manifest rows, below the run's output.
    """
    from pipeline.run.step_process import run_step
    from pipeline.steps.segment_shard import segment_shard as step

    return run_step(step, parameters, shard)
