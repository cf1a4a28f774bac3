"""``report.md``: each image beside its best segments, as tables that any viewer shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from pipeline.report.demo_network import demo_warning, real_work_commands
from pipeline.report.templates import render_markdown
from pipeline.run.manifest import ManifestRow
from pipeline.run.output_layout import FAILED, MANIFEST, overlay_name, segment_name

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


class MarkdownReport:
    """The static visualisation, gathered image by image.

    Args:
        max_masks: most segments of one image.
        link: makes the link of a file of the output; what it returns is percent-encoded.
        most: how many images are shown; the report counts the rest.
    """

    def __init__(
        self, max_masks: int, link: Callable[[str], str] = relative, most: int = MOST_SHOWN
    ) -> None:
        self._max_masks, self._link, self._most = max_masks, link, most
        self._shown: list[dict[str, Any]] = []
        self._failures: list[ManifestRow] = []
        self._images = self._failed = 0

    def add(self, row: ManifestRow, content: dict[str, Any] | None) -> None:
        """Add one image; ``content`` is its masks file, or ``None`` where it failed."""
        self._images += 1
        if content is None:
            self._failed += 1
            if len(self._failures) < MOST_FAILURES:
                self._failures.append(row)
        elif len(self._shown) < self._most:
            self._shown.append(self._section(row, content))

    def _section(self, row: ManifestRow, content: dict[str, Any]) -> dict[str, Any]:
        def cell(title: str, alt: str, file: str) -> dict[str, str]:
            return {"title": title, "alt": alt, "file": file}

        drawn = content.get("pictures", "all")
        overlay = overlay_name(row.image, small=drawn == "overlays")
        cells = [] if drawn == "none" else [cell("all masks", "all masks", overlay)]
        if drawn == "all":
            cells.insert(0, cell("original", "original", segment_name(row.image, 0)))
        segments = content["masks"][: self._max_masks] if drawn == "all" else []
        for number, mask in enumerate(segments, 1):
            alt = f"segment {number}"
            title = f"{mask.get('category') or alt}: {mask['predicted_iou']:.2f}"
            cells.append(cell(title, alt, segment_name(row.image, number)))
        return {
            "name": row.image,
            "width": content["width"],
            "height": content["height"],
            "mode": content["mode"],
            "masks": len(content["masks"]),
            "seconds": row.seconds,
            "cells": cells,
        }

    def text(self, metrics: dict[str, Any]) -> str:
        """The whole report.

        Args:
            metrics: the content of ``metrics.json``.
        """
        return render_markdown(
            "report.md.j2",
            metrics=metrics,
            warning=demo_warning(
                metrics["model"].get("name", ""),
                done=metrics["done"],
                without_mask=metrics["without_mask"],
            ),
            real_work=real_work_commands(metrics["engine"]),
            images=self._shown,
            more_images=self._images - self._failed - len(self._shown),
            failures=self._failures,
            more_failures=self._failed - len(self._failures),
            columns=COLUMNS,
            link=lambda name: Markup(self._link(name)),  # noqa: S704  # percent-encoded
            manifest_file=MANIFEST,
            failed_file=FAILED,
        )
