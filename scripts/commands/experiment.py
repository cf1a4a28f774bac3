"""``sam-vertex experiment``: time and cost against the number of images, measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.checkpoints.choice import DEMO_NETWORK, best_checkpoint
from scripts.cloud import deployment
from scripts.commands import options
from scripts.runs import expectation
from scripts.terminal.amounts import duration
from scripts.terminal.errors import OperatorError, reporting_errors
from scripts.terminal.progress import report_line
from serving.sam.families.table import find_family
from serving.sam.plain_text import count

if TYPE_CHECKING:
    from scripts.experiment.runner import BatchRunner
    from scripts.experiment.study import Study

EXAMPLES = (
    "sam-vertex experiment photos/ --sizes 5,50 --output experiment/\n"
    "sam-vertex experiment photos/ --sizes 50 --prepare-only --output experiment/\n"
    "sam-vertex experiment photos/ --engine vertex --shards 4 --checkpoint vit_b "
    "--output experiment/"
)


def experiment(
    inputs: Annotated[
        list[str], typer.Argument(metavar="SEED", help="Images that are replicated.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Local folder for batches, runs and results.")
    ],
    sizes: Annotated[
        str, typer.Option(help="Numbers of images, separated by commas.")
    ] = "5,50,100,500,1000",
    prompts: Annotated[
        str, typer.Option(help="Prompts of the seed images; default: a click in the middle.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Chooses which half has prompts.")] = 0,
    engine: options.Engine = "local",
    checkpoint: options.Checkpoint = "",
    family: options.Family = "",
    shards: options.Shards = 1,
    points_per_side: options.PointsPerSide = None,
    yes: options.Yes = False,
    prepare_only: Annotated[
        bool,
        typer.Option("--prepare-only", help="Write batches and prompts, and run nothing."),
    ] = False,
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Measure time and cost of batches of several sizes, with and without prompts.

    A batch is the seed images in turn, under unique names; a random half of it has prompts in the
    run with prompts; the engine segments the rest automatically. The same command again measures
    only what is missing. Leaves a table and plots.
    """
    with reporting_errors(debug):
        from scripts.experiment.figures import write_figures
        from scripts.experiment.runner import BatchRunner
        from scripts.experiment.study import Study, conduct

        counts = parse_sizes(sizes)
        if family:
            find_family(family).check_automatic("--family")
        study = Study(inputs, output, prompts, seed)
        if prepare_only:
            batches = {str(count): str(study.write_batch(count)) for count in counts}
            typer.echo(json.dumps(batches) if as_json else "\n".join(batches.values()))
            return
        runner = BatchRunner(
            engine=engine,
            checkpoint=checkpoint or (best_checkpoint() if engine == "local" else DEMO_NETWORK),
            shards=shards,
            points_per_side=points_per_side,
            outputs=outputs,
            family=family,
        )
        _agree(study, runner, counts, yes=yes)
        result = conduct(study, runner, counts)
        text, plots = write_figures(result, output)
        if as_json:
            typer.echo(json.dumps(result))
        else:
            typer.echo(text)
            typer.echo("plots: " + ", ".join(map(str, plots)))


def _agree(study: Study, runner: BatchRunner, sizes: list[int], *, yes: bool) -> None:
    """Say what the experiment will take, and go on only with its owner's consent.

    Where nobody knows what an image takes on this machine, the smallest batch is measured first.

    Raises:
        OperatorError: it costs money, and nobody has agreed.
        typer.Abort: it takes hours, and its owner does not agree.
    """
    from scripts.experiment.study import conduct, missing

    batches = missing(study, runner, sizes)
    if not batches:
        return
    estimated = runner.estimate(batches)
    if estimated is None:
        images = sum(size for size, _ in batches)
        report_line(f"{count(len(batches), 'run')}, {count(images, 'image')} in all")
        conduct(study, runner, sizes[:1])
        batches = missing(study, runner, sizes)
        estimated = runner.estimate(batches) if batches else None
        if estimated is None:
            return
    runs, time = count(len(batches), "run"), duration(estimated.seconds)
    if runner.engine == "local":
        report_line(f"estimate: {runs}, {time} in all ({estimated.basis})")
        expectation.agree(estimated, yes=yes)
        return
    what = f"{runs} on Vertex AI, {time} in all, about ${estimated.usd:.2f}"
    report_line(f"estimate: {what}")
    if yes or (sys.stdin.isatty() and typer.confirm("Start them?", default=False, err=True)):
        return
    raise OperatorError(f"not started: {what}", hint="--yes starts them; --sizes takes fewer")


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
