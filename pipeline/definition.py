"""The graph: plan shards, segment each, write the report. The same one locally and on Vertex."""

from typing import Any

from kfp import dsl

from pipeline import components

# The image's name only matters where there are containers; a local run uses this environment.
LOCAL_IMAGE = "python:3.11"


def define_pipeline(
    *, image: str = LOCAL_IMAGE, engine: str = "local", parallelism: int = 1
) -> Any:
    """Return the pipeline whose steps run in ``image``.

    1. ``plan-shards`` finds the images that are still to do and deals them into shards;
    2. ``segment-shard`` runs once for each shard, ``parallelism`` at a time;
    3. ``write-report`` gathers their manifests into the run's outputs and returns a summary.

    Shards hand on names of files, never artifacts, so any number of images passes through.

    Args:
        image: container image that holds this project.
        engine: where it runs, for the report: ``local`` or ``vertex``.
        parallelism: how many shards run at once.

    Returns:
        A Kubeflow pipeline function with one input, ``parameters`` (RunParameters as JSON).
    """

    def component(function: Any) -> Any:
        return dsl.component(function, base_image=image, install_kfp_package=False)

    plan = component(components.plan_shards)
    segment = component(components.segment_shard)
    report = component(components.write_report)

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name="segment-anything",
        description="Segments every image of a folder and reports on it.",
    )
    def segment_anything(parameters: str) -> str:
        planned = plan(parameters=parameters).set_display_name("Plan the shards")
        planned.set_caching_options(False)  # the folder may have changed since
        with dsl.ParallelFor(planned.output, name="shards", parallelism=parallelism) as shard:
            segmented = segment(parameters=parameters, shard=shard)
            segmented.set_display_name("Segment a shard").set_caching_options(False)
        reported = report(
            parameters=parameters, row_files=dsl.Collected(segmented.output), engine=engine
        )
        reported.set_display_name("Write the report").set_caching_options(False)
        return reported.output  # type: ignore[no-any-return]

    return segment_anything
