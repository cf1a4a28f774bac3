"""``sam-vertex batch-predict``: a folder of images through a Vertex batch prediction."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from pipeline.run.parameters import RunParameters, parse_max_failed
from scripts.cloud.deployment import DEFAULT_PATH, Deployment
from scripts.commands import options
from scripts.releases.request import read_request
from scripts.terminal.errors import OperatorError, reporting_errors
from serving.sam.plain_text import count

EXAMPLE = (
    "sam-vertex batch-predict gs://BUCKET/batch-prediction-images --output out/ "
    "--prompts prompts.json"
)


def batch_predict(
    inputs: options.Inputs,
    output: options.Output,
    prompts: options.Prompts = "",
    batch_size: Annotated[
        int, typer.Option(help="Instances in a request; the service's own default is 64.", min=1)
    ] = 2,
    replicas: Annotated[int, typer.Option(help="Machines that work on it.", min=1)] = 1,
    machine: Annotated[str, typer.Option(help="Machine type; default: as the endpoint's.")] = "",
    accelerator: Annotated[
        str, typer.Option(help="GPU of that machine, or none; default: as the endpoint's.")
    ] = "",
    max_masks: options.MaxMasks = 10,
    pictures: options.PicturesName = None,
    points_per_side: options.PointsPerSide = None,
    max_failed: options.MaxFailed = "0.5",
    outputs: options.Outputs = DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Segment every image of INPUT with the released model, without an endpoint's limits.

    OUTPUT looks like that of 'sam-vertex run': masks, overlays, manifest with failures, reports. A
    second run does only what is left; after an interruption it finds its job again.
    """
    with reporting_errors(debug):
        from scripts.batch_predictions.batch import BatchPrediction  # loads the report's libraries

        request = read_request(outputs, machine=machine, accelerator=accelerator)
        if accelerator == "none":
            request = dataclasses.replace(request, accelerator="")
        parameters = RunParameters(
            inputs=tuple(inputs),
            output=output,
            prompts=prompts,
            max_masks=max_masks,
            pictures=pictures or "",
            points_per_side=points_per_side,
            max_failed=parse_max_failed(max_failed),
        )
        summary = BatchPrediction(
            request=request,
            deployment=Deployment.from_outputs(outputs),
            parameters=parameters,
            batch_size=batch_size,
            replicas=replicas,
        ).run()
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(summary)))
        else:
            typer.echo(
                f"{count(summary.images, 'image')}, {summary.failed} failed, "
                f"{summary.computed} computed, {count(summary.masks, 'mask')}\n"
                f"report: {summary.report}"
            )
        if summary.too_many_failed:
            raise OperatorError(
                f"{summary.failed} of {count(summary.images, 'image')} failed",
                hint=f"the reasons are in {output}/failed.jsonl; --max-failed allows more",
            )
