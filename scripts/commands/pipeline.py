"""``sam-vertex pipeline``: the compiled graph, and the runs on Vertex AI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scripts.cloud import deployment
from scripts.commands import options
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import OperatorError, reporting_errors

app = CommandGroup(help="Compile the pipeline; list and cancel runs on Vertex AI.")
COMPILE_EXAMPLE = (
    "sam-vertex pipeline compile --image REGION-docker.pkg.dev/P/R/sam@sha256:... "
    "--output pipeline.yaml"
)


@app.command("compile", epilog=COMPILE_EXAMPLE)
def compile_(
    output: Annotated[Path, typer.Option("--output", "-o", help="YAML file to write.")] = Path(
        "pipeline.yaml"
    ),
    image: options.StepsImage = "",
    parallel: Annotated[int, typer.Option(help="Shards at once.", min=1)] = 1,
    accelerator: options.Accelerator = "",
    cpu: Annotated[str, typer.Option(help="CPU limit of a shard.")] = "4",
    memory: Annotated[str, typer.Option(help="Memory limit of a shard.")] = "15G",
    engine: Annotated[str, typer.Option(help="Name of the place in the report.")] = "vertex",
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    debug: options.Debug = False,
) -> None:
    """Write the graph as YAML, for Vertex AI or any other Kubeflow Pipelines 2.

    Its one input, 'parameters', is the run as JSON; 'sam-vertex run --engine vertex' makes it.
    """
    with reporting_errors(debug):
        from pipeline.definition import compile_pipeline
        from pipeline.machines import Machine
        from scripts.runs.preparation import steps_image

        if output.suffix not in (".yaml", ".yml", ".json"):
            raise OperatorError(f"{output}: expected .yaml or .json", hint="--output pipeline.yaml")
        machine = Machine(cpu=cpu, memory=memory, accelerator=options.accelerator_name(accelerator))
        uri = steps_image(outputs, image)
        try:
            compile_pipeline(
                output, image=uri, machine=machine, parallelism=parallel, engine=engine
            )
        except (OSError, ValueError) as error:
            raise OperatorError(
                f"cannot compile to {output}: {error}", hint="sam-vertex pipeline compile --help"
            ) from error
        typer.echo(f"{output}")


@app.command("list", epilog="sam-vertex pipeline list")
def list_runs(
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show the runs on Vertex AI, newest first."""
    with reporting_errors(debug):
        from scripts.runs.vertex_runs import VertexRuns

        rows = [
            run.to_json() for run in VertexRuns(deployment.Deployment.from_outputs(outputs)).list()
        ]
        if as_json:
            typer.echo(json.dumps(rows))
            return
        for row in rows:
            typer.echo(f"{row['run']:36} {row['state']:10} {row['created']}")
        if not rows:
            typer.echo("no runs")


@app.command(epilog="sam-vertex pipeline cancel sam-20261122-101500-3fa9c1")
def cancel(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Name of the run, as 'pipeline list' shows it.")
    ],
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    debug: options.Debug = False,
) -> None:
    """End a run; what it has finished stays, and the same 'run' again does the rest."""
    with reporting_errors(debug):
        from scripts.runs.vertex_runs import VertexRuns

        VertexRuns(deployment.Deployment.from_outputs(outputs)).cancel(run)
        typer.echo(f"cancelling {run}")
