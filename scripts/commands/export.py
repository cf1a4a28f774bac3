"""``sam-vertex export``: a run's masks in the formats of other tools."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from scripts.commands import options
from scripts.terminal.errors import OperatorError, reporting_errors
from scripts.terminal.progress import meter
from serving.sam.plain_text import count

if TYPE_CHECKING:
    from scripts.export.exporting import Exported

FormatName = Literal[
    "coco-rle", "coco-polygons", "label-studio", "cvat", "yolo", "sa1b", "parquet", "geojson",
    "cutouts", "label-maps",
]  # fmt: skip
EXAMPLES = (
    "sam-vertex export out --to label-studio\nsam-vertex export gs://bucket/out --to yolo -o yolo"
)


def export(
    run_output: Annotated[
        str, typer.Argument(metavar="OUT", help="Output of a run, local or gs://.")
    ],
    to: Annotated[
        FormatName,
        typer.Option(metavar="FORMAT", help=f"One of {', '.join(get_args(FormatName))}."),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Folder for the export, local or gs://; default: in OUT."
        ),
    ] = "",
    reviewed: Annotated[
        bool, typer.Option("--reviewed", help="Only masks that somebody has accepted.")
    ] = False,
    image_prefix: Annotated[
        str,
        typer.Option(
            help="What stands before an image's name in its address, such as gs://bucket/photos/; "
            "default: where the run read it."
        ),
    ] = "",
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Write the masks of a run in the format of another tool.

    The same command resumes an export that broke off. Masks that were rejected in a review are left
    out. Large exports have several files, each below 256 MB, or files of one image each.
    """
    with reporting_errors(debug):
        from scripts.export import exporting
        from scripts.export.part import LEFT_OUT_HINT
        from serving.storage import open_folder

        folder = open_folder(run_output)
        target = exporting.open_target(folder, to, output)
        with meter("exporting") as bar:
            made = exporting.export(
                folder, to, target, reviewed=reviewed, image_prefix=image_prefix, bar=bar
            )
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(made)))
        else:
            _print(to, made)
        if made.left_out:
            raise OperatorError(
                f"left out {count(len(made.left_out), 'image')}: {'; '.join(made.left_out[:3])}",
                hint=f"{LEFT_OUT_HINT}; the same command then writes what is missing",
            )


def _print(to: str, made: Exported) -> None:
    parts = f"{made.parts} parts, {made.kept} there already" if made.parts > 1 else "one part"
    typer.echo(
        f"{made.folder}: {count(made.masks, 'mask')} of {count(made.images, 'image')}, {parts}"
    )
    if made.address:  # a prefix without its last slash would be seen too late
        typer.echo(f"the first image's address: {made.address}")
    if made.gone:
        typer.echo(f"without {count(made.gone, 'image')} that the run no longer has")
    if made.loses:
        typer.echo(f"{to}: {made.loses}")
