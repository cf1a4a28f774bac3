"""Options that several commands have, spelled and explained the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serving.sam.machine.devices import Precision

Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT", help="Images and folders, local or gs://.")
]
Output = Annotated[str, typer.Option(help="Folder for the results, local or gs://.")]
Prompts = Annotated[
    str, typer.Option(help="JSON file with points and boxes for some of the images.")
]
Checkpoint = Annotated[
    str, typer.Option(help="Name (vit_tiny, vit_b, vit_l, vit_h), file or gs:// URI.")
]
MaxMasks = Annotated[int, typer.Option(help="Segments shown for each image.")]
MaxFailed = Annotated[
    str, typer.Option(help="Images that may fail: a share (0.1, 10%) or a count (25).")
]
PrecisionName = Annotated[Precision, typer.Option(help="auto is exact on a CPU and fast on a GPU.")]
PointsPerSide = Annotated[
    int | None, typer.Option(help="Grid of automatic prompts; default: the checkpoint's own.")
]
Outputs = Annotated[Path, typer.Option(help="outputs of 'cdktf deploy'")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks.")]
