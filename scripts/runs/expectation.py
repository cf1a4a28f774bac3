"""What a run will take, told before it begins; what takes hours or costs money is asked first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from scripts.costs.estimates import Estimate, Work
from scripts.costs.forecasts import forecast_here
from scripts.terminal.amounts import duration
from scripts.terminal.errors import OperatorError
from serving.sam.plain_text import count

if TYPE_CHECKING:
    from pipeline.run.input_images import InputImage
    from pipeline.run.parameters import RunParameters

LONG_SECONDS = 3600.0
MUCH_USD = 5.0


def expect_here(
    parameters: RunParameters, images: Sequence[InputImage], finished: int
) -> Estimate | None:
    """Estimate a run on this machine; ``None`` where nothing like it was measured here.

    A grid of its own changes the time of an image, and nobody has measured by how much.

    Args:
        parameters: the run's.
        images: all of its images.
        finished: how many of them an earlier run has done already.
    """
    prompted = sum(bool(image.prompts) for image in images)
    left = max(len(images) - finished, 0)
    if parameters.points_per_side is not None or not left:
        return None
    share = prompted / len(images)
    work = Work(automatic=left - round(left * share), prompted=round(left * share))
    try:
        return forecast_here(work, str(parameters.settings()["checkpoint"]))
    except OperatorError:
        return None


def plan_lines(images: Sequence[InputImage], estimated: Estimate | None) -> list[str]:
    """What a run would do, for a person: images, time, money."""
    prompted = sum(bool(image.prompts) for image in images)
    lines = [f"{count(len(images), 'image')}, {prompted} with prompts"]
    if estimated is None:
        return [*lines, "no estimate: no run like it was measured on this machine yet"]
    money = f", ${estimated.usd:.2f}" if estimated.usd else ""
    return [*lines, f"estimate: {duration(estimated.seconds)}{money}", f"  {estimated.basis}"]


def plan_json(images: Sequence[InputImage], estimated: Estimate | None) -> dict[str, Any]:
    """The same for a program."""
    return {
        "images": len(images),
        "prompted": sum(bool(image.prompts) for image in images),
        "estimate": None if estimated is None else estimated.to_json(),
    }


def agree(estimated: Estimate | None, *, yes: bool) -> None:
    """Ask on a terminal before a run that takes an hour or costs some dollars.

    Args:
        estimated: what it will take; ``None`` for nobody knows.
        yes: whether its owner has agreed already.

    Raises:
        typer.Abort: no.
    """
    if estimated is None or yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if estimated.seconds >= LONG_SECONDS or estimated.usd >= MUCH_USD:
        money = f" and costs about ${estimated.usd:.2f}" if estimated.usd else ""
        question = f"This takes about {duration(estimated.seconds)}{money}. Begin?"
        typer.confirm(question, default=True, abort=True, err=True)
