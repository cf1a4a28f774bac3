"""``sam-vertex predict``: one image, segmented here, by a model server or by the endpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from scripts.checkpoints.choice import best_checkpoint, choose_checkpoint
from scripts.cloud.deployment import DEFAULT_PATH
from scripts.commands import options
from scripts.online_predictions.files import write_json, write_prediction
from scripts.online_predictions.here import predict_here
from scripts.online_predictions.requests import make_request, read_image
from scripts.online_predictions.servers import DeployedEndpoint, ask_server
from scripts.terminal.errors import OperatorError, reporting_errors
from scripts.terminal.interruptions import NOT_RESUMED
from serving.sam.machine.waiting_threads import set_waiting
from serving.sam.plain_text import count
from serving.sam.prompts import Prompt

EXAMPLES = (
    "sam-vertex predict photo.jpg --point 300,200\n"
    "sam-vertex predict photo.jpg --box 10,10,200,180 --endpoint\n"
    "sam-vertex predict photo.jpg --save-request request.json"
)
_MOST_SCORES = 5


def predict(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="An image file, or gs:// with --endpoint.")
    ],
    point: Annotated[
        list[str] | None,
        typer.Option(help="X,Y or X,Y,LABEL: 1 on the object, 0 beside it; may be repeated."),
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="X0,Y0,X1,Y1; may be repeated, once an object.")
    ] = None,
    url: Annotated[
        str, typer.Option(help="Ask a model server at this address instead of computing here.")
    ] = "",
    endpoint: Annotated[
        bool, typer.Option("--endpoint", help="Ask the deployed endpoint.")
    ] = False,
    checkpoint: options.CheckpointHere = "",
    family: options.Family = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for overlay and masks; default: this one."),
    ] = None,
    points_per_side: options.PointsPerSide = None,
    multimask: Annotated[
        bool, typer.Option(help="Compute three masks and draw the best; one click always does.")
    ] = False,
    save_request: Annotated[
        Path | None, typer.Option(help="Write the request's JSON there and send nothing.")
    ] = None,
    outputs: options.Outputs = DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Segment one image: what the points and boxes name, or everything.

    It is computed here, unless a server is named. IMAGE.overlay.png and IMAGE.masks.json go to
    the output folder.
    """
    with reporting_errors(debug, NOT_RESUMED):
        prompts = parse_prompts(point or [], box or [])
        here = not (url or endpoint or save_request)
        if not here:
            reason = "a server has a checkpoint of its own"
            options.refuse(reason, {"--checkpoint": checkpoint, "--family": family}, "predict")
        multimask = multimask or _is_one_click(prompts)
        requested = read_image(image, endpoint=endpoint, here=here)
        body = make_request(
            requested, prompts, multimask=multimask, points_per_side=points_per_side
        )
        if save_request is not None:
            write_json(save_request, body)
            typer.echo(f"{save_request}: {save_request.stat().st_size} bytes")
            return
        if here:
            set_waiting(os.environ)
            reply = predict_here(
                requested,
                prompts,
                checkpoint=checkpoint or (best_checkpoint() if as_json else choose_checkpoint()),
                family=family,
                multimask=multimask,
                points_per_side=points_per_side,
            )
        else:
            reply = DeployedEndpoint(outputs).ask(body) if endpoint else ask_server(url, body)
        if as_json:
            typer.echo(json.dumps(reply))
            return
        files = write_prediction(reply, requested, prompts, output or Path())
        scores = ", ".join(f"{score:.2f}" for score in files.scores[:_MOST_SCORES])
        more = ", ..." if len(files.scores) > _MOST_SCORES else ""
        rated = f" (predicted IoU {scores}{more})" if scores else ""
        typer.echo(f"{count(len(files.scores), 'mask')}{rated}: {files.masks}")
        if files.overlay is not None:
            typer.echo(f"overlay: {files.overlay}")


def _is_one_click(prompts: Sequence[Prompt]) -> bool:
    """A single point may mean a part or the whole, so the network makes three candidates."""
    return len(prompts) == 1 and len(prompts[0].points) == 1 and prompts[0].box_xyxy is None


def parse_prompts(points: Sequence[str], boxes: Sequence[str]) -> tuple[Prompt, ...]:
    """The prompts of ``--point X,Y[,LABEL]`` and ``--box X0,Y0,X1,Y1``.

    All points belong to one object, together with the box where there is one; several boxes are
    several objects.

    Raises:
        OperatorError: not numbers, or points beside several boxes.
        PromptError: numbers that are no prompt.
    """
    point_numbers = [_numbers(text, (2, 3), "--point X,Y or X,Y,LABEL") for text in points]
    corners = [_corners(text) for text in boxes]
    if len(corners) > 1:
        if point_numbers:
            raise OperatorError(
                "points beside several boxes: which object do they belong to?",
                hint="give one box with its points, or boxes alone",
            )
        return tuple(Prompt(box_xyxy=box) for box in corners)
    if not point_numbers and not corners:
        return ()
    xy = tuple((numbers[0], numbers[1]) for numbers in point_numbers)
    labels = tuple(int(numbers[2]) if len(numbers) == 3 else 1 for numbers in point_numbers)
    return (Prompt(points=xy, labels=labels, box_xyxy=corners[0] if corners else None),)


def _numbers(text: str, counts: tuple[int, ...], expected: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts:
        raise OperatorError(
            f"{text!r}: expected {expected} in pixels", hint="sam-vertex predict --help"
        )
    return numbers


def _corners(text: str) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = _numbers(text, (4,), "--box X0,Y0,X1,Y1")
    return x0, y0, x1, y1
