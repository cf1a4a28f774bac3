"""``sam-vertex experiment``: time and cost against the number of images, measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scripts.checkpoints.choice import DEMO_NETWORK, best_checkpoint
from scripts.cloud import deployment
from scripts.commands import options
from scripts.terminal.errors import OperatorError, reporting_errors

EXAMPLES = (
    "sam-vertex experiment photos/ --sizes 5,50 --output experiment/\n"
    "sam-vertex experiment photos/ --engine vertex --shards 4 --checkpoint vit_b "
    "--output experiment/"
)


def experiment(
    inputs: Annotated[
        list[str], typer.Argument(metavar="SEED...", help="Images that are replicated.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Local folder for batches, runs and results.")
    ],
    sizes: Annotated[str, typer.Option(help="Numbers of images.")] = "5,50,100,500,1000",
    prompts: Annotated[
        str, typer.Option(help="Prompts of the seed images; default: a click in the middle.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Chooses which half has prompts.")] = 0,
    engine: options.Engine = "local",
    checkpoint: options.Checkpoint = "",
    shards: options.Shards = 1,
    points_per_side: options.PointsPerSide = None,
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Run batches of several sizes with and without prompts; table and plots of time and cost.

    A batch is the seed images in turn, under unique names; a random half of it has prompts in the
    run with prompts; the engine segments the rest automatically. The same command again measures
    only what is missing.
    """
    with reporting_errors(debug):
        from scripts.experiment.figures import write_figures
        from scripts.experiment.runner import BatchRunner
        from scripts.experiment.study import Study, conduct

        counts = parse_sizes(sizes)
        study = Study(inputs, output, prompts, seed)
        runner = BatchRunner(
            engine=engine,
            checkpoint=checkpoint or (best_checkpoint() if engine == "local" else DEMO_NETWORK),
            shards=shards,
            points_per_side=points_per_side,
            outputs=outputs,
        )
        result = conduct(study, runner, counts)
        text, plots = write_figures(result, output)
        if as_json:
            typer.echo(json.dumps(result))
        else:
            typer.echo(text)
            typer.echo("plots: " + ", ".join(map(str, plots)))


def parse_sizes(text: str) -> list[int]:
    """Parse numbers of images, separated by commas; return them sorted.

    Raises:
        OperatorError: one of them is no number, or out of range.
    """
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise OperatorError(
            f"--sizes {text!r}: expected numbers of images", hint="--sizes 5,50,100"
        ) from error
    if not counts or counts[0] < 1 or counts[-1] > 100_000:
        raise OperatorError(f"--sizes {text!r}: expected 1 to 100000", hint="--sizes 5,50,100")
    return counts
