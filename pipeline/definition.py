"""The graph: plan shards, segment each, write the report. The same one locally and on Vertex."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

from kfp import dsl

from pipeline import components
from pipeline.components.segment_shard_job import ShardJob, define_shard_job
from pipeline.machines import COORDINATOR, GPU, Machine

# Only containers need the image; a local run uses this environment whatever the name says.
LOCAL_IMAGE = "python:3.11"
RETRIES, RETRY_SECONDS = 3, 300  # 35 minutes in all: a moment's lack of quota or machines passes


def define_pipeline(
    *,
    image: str = LOCAL_IMAGE,
    engine: str = "local",
    parallelism: int = 1,
    machine: Machine | None = None,
    retries: int = RETRIES,
    retry_seconds: int = RETRY_SECONDS,
    shard_job: ShardJob | None = None,
) -> Any:
    """Return the pipeline whose steps run in ``image``.

    1. ``plan-shards`` finds the images that are still to do and deals them into shards;
    2. ``segment-shard`` runs once for each shard, ``parallelism`` at a time;
    3. ``write-report`` gathers their manifests into the run's outputs and returns a summary.

    A shard returns the name of a file, never an artifact, so a run may have any number of images.

    Args:
        image: container image that holds this project.
        engine: where it runs, for the report: ``local`` or ``vertex``.
        parallelism: how many shards run at once.
        machine: what a shard asks for; ``None`` for no limits, on this machine.
        retries: how often Kubeflow tries a failed step again, on a new machine. The step itself
            survives what kills a shard's process, see :mod:`pipeline.steps.segment_shard`.
        retry_seconds: before the first of them, twice as long before the second and so on, up to
            an hour. A step that found no room in the project's quota has failed, and what holds the
            quota goes on for long.
        shard_job: makes each shard a custom job, which may have machines that a task of the graph
            cannot ask for; ``None`` for tasks.

    Returns:
        A Kubeflow pipeline function with one input, ``parameters`` (RunParameters as JSON).
    """

    def component(function: Any) -> Any:
        return dsl.component(function, base_image=image, install_kfp_package=False)

    def configured(task: Any, title: str, limits: Machine | None) -> Any:
        task.set_display_name(title)
        task.set_caching_options(False)  # the folder may have changed since
        if limits is not None:
            limits.applied_to(task)
        if machine is not None:
            task.set_retry(
                retries, backoff_duration=f"{retry_seconds}s", backoff_max_duration="3600s"
            )
        return task

    coordinator = None if machine is None else COORDINATOR
    plan = component(components.plan_shards)
    segment = component(components.segment_shard)
    report = component(components.write_report)
    report_of_jobs = component(components.write_report_of_jobs)
    job = None
    if shard_job is not None and machine is not None:
        job = define_shard_job(shard_job, machine, image)

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name="segment-anything",
        description="Segments every image of a folder and reports on it.",
    )
    def segment_anything(parameters: str) -> str:
        planned = configured(plan(parameters=parameters), "Plan the shards", coordinator)
        with dsl.ParallelFor(planned.output, name="shards", parallelism=parallelism) as shard:
            if job is not None:  # the task only starts it, and waits for its end
                segmented = configured(job(shard=shard), "Segment a shard", None)
            else:
                segmented = segment(parameters=parameters, shard=shard)
                configured(segmented, "Segment a shard", machine)
        if job is not None:
            jobs = dsl.Collected(segmented.outputs["gcp_resources"])
            reported = report_of_jobs(parameters=parameters, jobs=jobs, engine=engine)
        else:
            row_files = dsl.Collected(segmented.output)
            reported = report(parameters=parameters, row_files=row_files, engine=engine)
        configured(reported, "Write the report", coordinator)
        return reported.outputs["Output"]  # type: ignore[no-any-return]

    return segment_anything


def compile_pipeline(
    path: Path,
    *,
    image: str,
    machine: Machine = GPU,
    parallelism: int = 1,
    engine: str = "vertex",
    retry_seconds: int = RETRY_SECONDS,
    shard_job: ShardJob | None = None,
) -> None:
    """Write the graph as the YAML or JSON file that any Kubeflow takes (schema 2.1.0).

    Args:
        path: the file, ``.yaml`` or ``.json``.
        image: container image of all steps.
        machine: what a shard asks for.
        parallelism: how many shards run at once.
        engine: where it will run, for the report.
        retry_seconds: before a failed step is tried again.
        shard_job: makes each shard a custom job; ``None`` for tasks of the graph.
    """
    from kfp import compiler

    graph = define_pipeline(
        image=image,
        engine=engine,
        parallelism=parallelism,
        machine=machine,
        retry_seconds=retry_seconds,
        shard_job=shard_job,
    )
    # Kubeflow prints to standard output, which belongs to the command.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        compiler.Compiler().compile(graph, str(path))
