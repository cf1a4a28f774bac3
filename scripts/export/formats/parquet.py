"""Parquet, a row for each mask, with the columns that a run's own ``annotations/`` has."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.report.table import TableWriter
from scripts.export.part import Part
from scripts.export.source import ExportedImage


def write_parquet(part: Part, images: Iterator[ExportedImage]) -> None:
    """One file."""
    with part.file("part{}.parquet", "application/vnd.apache.parquet") as file:
        writer = TableWriter(file)
        for image in images:
            part.numbering.next_image()
            writer.add(image.content, image.masks)
            part.numbering.masks += len(image.masks)
            for record in image.masks:
                part.numbering.category_id(record["category"])
        writer.close()
