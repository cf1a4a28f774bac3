"""``report.md``: each image beside its best segments, as tables that any viewer shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any
from urllib.parse import quote

from pipeline.manifest import ManifestRow, overlay_name, segment_name

COLUMNS = 4


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _picture(title: str, path: str) -> str:
    return f"![{_cell(title)}]({quote(path)})"


def write_markdown(
    file: IO[str],
    metrics: dict[str, Any],
    images: Iterable[tuple[ManifestRow, dict[str, Any] | None]],
    max_masks: int,
) -> None:
    """Write the static visualisation.

    Args:
        file: where to write.
        metrics: the content of ``metrics.json``.
        images: manifest rows with their masks, ``None`` where an image failed.
        max_masks: most segments of one image.
    """
    model = metrics["model"].get("name", "none")
    file.write(
        "# Segment Anything: report\n\n"
        "| images | failed | masks | images/s | seconds | model | precision | device |\n"
        "|---:|---:|---:|---:|---:|---|---|---|\n"
        f"| {metrics['images']} | {metrics['failed']} | {metrics['masks']} "
        f"| {metrics['images_per_second']:.2f} | {metrics['seconds']:.1f} "
        f"| {_cell(model)} | {metrics['precision']} | {metrics['device']} |\n\n"
    )
    failures: list[ManifestRow] = []
    for row, content in images:
        if content is None:
            failures.append(row)
            continue
        _write_image(file, row, content, max_masks)
    if failures:
        file.write("## Failed\n\n| image | reason |\n|---|---|\n")
        for row in failures:
            file.write(f"| {_cell(row.image)} | {_cell(row.reason)} |\n")


def _write_image(file: IO[str], row: ManifestRow, content: dict[str, Any], max_masks: int) -> None:
    masks = content["masks"]
    shown = min(len(masks), max_masks)
    file.write(
        f"## {_cell(row.image)}\n\n{content['width']} x {content['height']} pixels, "
        f"{content['mode']}, {len(masks)} masks, {row.seconds:.2f} s\n\n"
    )
    cells = [
        ("original", _picture("original", segment_name(row.image, 0))),
        ("all masks", _picture("all masks", overlay_name(row.image))),
    ]
    for number in range(1, shown + 1):
        score = masks[number - 1]["predicted_iou"]
        title = f"segment {number}"
        cells.append((f"{title}: {score:.2f}", _picture(title, segment_name(row.image, number))))
    for start in range(0, len(cells), COLUMNS):
        line = cells[start : start + COLUMNS]
        file.write("| " + " | ".join(title for title, _ in line) + " |\n")
        file.write("|" + "---|" * len(line) + "\n")
        file.write("| " + " | ".join(picture for _, picture in line) + " |\n\n")
