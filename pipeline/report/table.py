"""The masks of a run as a table, a row for each: Parquet, which BigQuery, Spark and pandas read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.run.manifest import as_text
from serving.sam.masks import category_of

_ROWS = 20_000  # in memory at once, a row group of the file
SCHEMA = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("mask", pa.int32(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("area", pa.int64(), nullable=False),
        pa.field("bbox", pa.list_(pa.float64()), nullable=False),
        pa.field("rle", pa.string(), nullable=False),
        pa.field("predicted_iou", pa.float64()),
        pa.field("stability_score", pa.float64()),
        pa.field("point_coords", pa.list_(pa.list_(pa.float64()))),
        pa.field("prompt", pa.string()),
        pa.field("checkpoint", pa.string()),
    ]
)


class TableWriter:
    """Writes one Parquet file.

    ``rle`` holds the compressed counts of COCO's RLE, column by column; its size is ``[height,
    width]``. ``bbox`` is [x, y, width, height] in pixels; ``prompt`` is JSON.

    Args:
        file: a path, or a file that is open in binary mode and stays open.
    """

    def __init__(self, file: IO[bytes] | Path) -> None:
        self._writer = pq.ParquetWriter(file, SCHEMA, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, content: dict[str, Any], masks: Sequence[dict[str, Any]] | None = None) -> None:
        """Add the masks of one image.

        Args:
            content: its masks file.
            masks: those of its masks that count, with their ``number``; all by default.
        """
        about = {
            "image": content["image"],
            "uri": as_text(content["source"]),
            "width": content["width"],
            "height": content["height"],
            "checkpoint": content["checkpoint"]["name"],
        }
        for number, record in enumerate(content["masks"] if masks is None else masks):
            self._rows.append(
                about
                | {
                    "mask": record.get("number", number),
                    "category": category_of(record),
                    "area": record["area"],
                    "bbox": record["bbox"],
                    "rle": record["segmentation"]["counts"],
                    "predicted_iou": record["predicted_iou"],
                    "stability_score": record.get("stability_score"),
                    "point_coords": record.get("point_coords"),
                    "prompt": json.dumps(record["prompt"]) if "prompt" in record else None,
                }
            )
        if len(self._rows) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []

    def close(self) -> None:
        """Write the end."""
        self._flush()
        self._writer.close()
