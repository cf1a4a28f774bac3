"""``report.md``: each image beside its best segments, as tables that any viewer shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from pipeline.run.manifest import FAILED, MANIFEST, ManifestRow, overlay_name, segment_name

COLUMNS = 4
MOST_SHOWN = 100  # images; thousands make a file that no viewer opens
MOST_FAILURES = 200
CONSOLE = "https://storage.cloud.google.com/"  # asks whoever follows the link to sign in


def relative(name: str) -> str:
    """A link beside the report."""
    return quote(name)


def in_bucket(output_uri: str) -> Callable[[str], str]:
    """Links into a bucket, for a copy of the report that lies elsewhere."""
    base = CONSOLE + quote(output_uri.removeprefix("gs://"))
    return lambda name: f"{base}/{quote(name)}"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


class MarkdownReport:
    """The static visualisation, gathered image by image.

    Args:
        max_masks: most segments of one image.
        link: makes the link of a file of the output.
        most: how many images are shown; the rest are counted.
    """

    def __init__(
        self, max_masks: int, link: Callable[[str], str] = relative, most: int = MOST_SHOWN
    ) -> None:
        self._max_masks, self._link, self._most = max_masks, link, most
        self._sections: list[str] = []
        self._failures: list[ManifestRow] = []
        self._images = self._failed = 0

    def add(self, row: ManifestRow, content: dict[str, Any] | None) -> None:
        """Add one image; ``content`` is its masks file, or ``None`` where it failed."""
        self._images += 1
        if content is None:
            self._failed += 1
            if len(self._failures) < MOST_FAILURES:
                self._failures.append(row)
        elif len(self._sections) < self._most:
            self._sections.append(self._section(row, content))

    def text(self, metrics: dict[str, Any]) -> str:
        """The whole report.

        Args:
            metrics: the content of ``metrics.json``.
        """
        parts = ["# Segment Anything: report\n\n", _figures(metrics), *self._sections]
        left = self._images - self._failed - len(self._sections)
        if left:
            page, rows = self._link("report.html"), self._link(MANIFEST)
            parts.append(
                f"{left} more images: see [report.html]({page}) or [all rows]({rows}).\n\n"
            )
        if self._failures:
            parts.append("## Failed\n\n| image | reason |\n|---|---|\n")
            parts += [f"| {_cell(row.image)} | {_cell(row.reason)} |\n" for row in self._failures]
        if self._failed > len(self._failures):
            more = self._failed - len(self._failures)
            parts.append(f"\n{more} more: see [{FAILED}]({self._link(FAILED)}).\n")
        return "".join(parts)

    def _picture(self, title: str, name: str) -> str:
        return f"![{_cell(title)}]({self._link(name)})"

    def _section(self, row: ManifestRow, content: dict[str, Any]) -> str:
        masks = content["masks"]
        shown = min(len(masks), self._max_masks)
        parts = [
            f"## {_cell(row.image)}\n\n{content['width']} x {content['height']} pixels, "
            f"{content['mode']}, {len(masks)} masks, {row.seconds:.2f} s\n\n"
        ]
        cells = [
            ("original", self._picture("original", segment_name(row.image, 0))),
            ("all masks", self._picture("all masks", overlay_name(row.image))),
        ]
        for number in range(1, shown + 1):
            score = masks[number - 1]["predicted_iou"]
            title = f"segment {number}"
            picture = self._picture(title, segment_name(row.image, number))
            cells.append((f"{title}: {score:.2f}", picture))
        for start in range(0, len(cells), COLUMNS):
            line = cells[start : start + COLUMNS]
            parts.append("| " + " | ".join(title for title, _ in line) + " |\n")
            parts.append("|" + "---|" * len(line) + "\n")
            parts.append("| " + " | ".join(picture for _, picture in line) + " |\n\n")
        return "".join(parts)


def _figures(metrics: dict[str, Any]) -> str:
    run = metrics["run"]
    text = (
        "| images | failed | masks | images/s | seconds | model | precision | device |\n"
        "|---:|---:|---:|---:|---:|---|---|---|\n"
        f"| {metrics['images']} | {metrics['failed']} | {metrics['masks']} "
        f"| {metrics['images_per_second']:.2f} | {run['wall_seconds']:.1f} "
        f"| {_cell(metrics['model'].get('name', 'none'))} | {metrics['precision']} "
        f"| {metrics['device']} |\n\n"
    )
    cost, forecast = metrics["cost_usd"], metrics["forecast"]
    if forecast:
        text += (
            "| | predicted | actual |\n|---|---:|---:|\n"
            f"| time | {forecast['seconds']:.0f} s | {run['wall_seconds']:.0f} s |\n"
        )
        if cost:
            text += f"| cost | ${cost['estimated']:.2f} | ${cost['actual']:.2f} |\n"
        text += f"\n{_cell(str(forecast['basis']))}\n\n"
    return text
