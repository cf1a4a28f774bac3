"""Options that several commands have, spelled and explained the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from scripts.terminal.errors import OperatorError
from serving.sam.machine.devices import Precision

EngineName = Literal["local", "vertex"]
Capacity = Literal["standard", "spot", "flex"]  # as in pipeline.machines, which loads slowly
Pictures = Literal["none", "overlays", "all"]  # as in pipeline.run.parameters
VERTEX_PANEL = "On Vertex AI"
DEFAULT_ACCELERATOR = "NVIDIA_TESLA_T4"

Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT", help="Images and folders, local or gs://.")
]
Output = Annotated[
    str, typer.Option("--output", "-o", help="Folder for the results, local or gs://.")
]
Prompts = Annotated[
    str,
    typer.Option(
        help="Points and boxes: our JSON, a COCO data set, a YOLO folder or a CSV, as in "
        "docs/running.md."
    ),
]
Engine = Annotated[
    EngineName, typer.Option(help="Where it runs: on this machine, or on Vertex AI Pipelines.")
]
Checkpoint = Annotated[
    str,
    typer.Option(
        help="Name ('sam-vertex checkpoint list'), file or gs:// URI; default: the best that is on "
        "this machine, on Vertex AI vit_tiny."
    ),
]
CheckpointHere = Annotated[
    str,
    typer.Option(
        help="Name ('sam-vertex checkpoint list'), file or gs:// URI; default: the best that is on "
        "this machine."
    ),
]
Family = Annotated[
    str,
    typer.Option(
        help="Family of the checkpoint's network where its weights do not say: sam, medsam "
        "or mobile_sam."
    ),
]
Shards = Annotated[
    int,
    typer.Option(
        help="Parts that the images are split into: machines on Vertex AI, one after another here.",
        min=1,
        max=1000,
    ),
]
MaxMasks = Annotated[
    int,
    typer.Option(
        help="Masks of an image that get a picture of their own; all are kept.", min=1, max=100
    ),
]
PicturesName = Annotated[
    Pictures | None,
    typer.Option(
        help="What is drawn of an image: nothing, all masks on it as one small file, or each mask "
        "alone as well; default: all of up to 1,000 images, overlays of more."
    ),
]
MaxFailed = Annotated[
    str, typer.Option(help="Images that may fail: a share (0.1, 10%) or a count (25).")
]
PrecisionName = Annotated[Precision, typer.Option(help="auto is exact on a CPU and fast on a GPU.")]
Window = Annotated[
    str,
    typer.Option(
        help="For 16-bit images: which samples are black and white, such as 0-4095, or auto."
    ),
]
PointsPerSide = Annotated[
    int | None,
    typer.Option(
        help="Points on a side of the grid of automatic prompts; default: the checkpoint's own.",
        min=1,
        max=256,
    ),
]
Parallel = Annotated[
    int,
    typer.Option(
        help="Shards at once, each on a machine of its own; 0 for all. The quota is the limit.",
        rich_help_panel=VERTEX_PANEL,
        min=0,
    ),
]
Accelerator = Annotated[
    str,
    typer.Option(
        help=f"GPU of a shard's machine, or none; default: {DEFAULT_ACCELERATOR}.",
        rich_help_panel=VERTEX_PANEL,
    ),
]
CapacityName = Annotated[
    Capacity,
    typer.Option(
        help="spot costs less and may be taken away; flex waits for room (L4 and larger).",
        rich_help_panel=VERTEX_PANEL,
    ),
]
StepsImage = Annotated[
    str,
    typer.Option(
        help="Container image of the steps; default: the last one built.",
        rich_help_panel=VERTEX_PANEL,
    ),
]
Outputs = Annotated[Path, typer.Option(help="File that 'cdktf deploy --outputs-file' wrote.")]
Save = Annotated[
    bool,
    typer.Option(help="Save it as a setting of the stacks in the cdktf.json beside the outputs."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would do, take and cost; do nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before long or costly work.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks.")]


def accelerator_name(option: str) -> str:
    """Vertex's name of the accelerator that ``--accelerator`` means; empty for a CPU."""
    return "" if option == "none" else option or DEFAULT_ACCELERATOR


def refuse(reason: str, values: dict[str, object], command: str) -> None:
    """Refuse options that would be ignored.

    Args:
        reason: why they would.
        values: what the operator gave, by option; empty for nothing.
        command: whose help explains them.

    Raises:
        OperatorError: one of them was given.
    """
    given = [name for name, value in values.items() if value]
    if given:
        raise OperatorError(f"{', '.join(given)}: {reason}", hint=f"sam-vertex {command} --help")
