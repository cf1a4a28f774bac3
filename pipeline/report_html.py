"""``report.html``: a gallery of the run in one file, without scripts or styles from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from pipeline.manifest import ManifestRow, overlay_name, segment_name
from pipeline.pictures import encode_webp, mask_colour
from pipeline.storage import Folder

# A page with more images than this refers to the picture files beside it instead of holding them.
MOST_INLINE = 100
_LARGE, _SMALL = 720, 220
_PAGE = Path(__file__).parent / "report_page"


class _Pictures:
    """Where the page's pictures are: within it, or beside it."""

    def __init__(self, output: Folder, inline: bool) -> None:
        self._output, self._inline = output, inline

    def source(self, name: str, longest: int) -> str:
        if not self._inline:
            return quote(name)
        image = np.asarray(Image.open(io.BytesIO(self._output.read_bytes(name))).convert("RGB"))
        packed = base64.b64encode(encode_webp(image, longest)).decode("ascii")
        return f"data:image/webp;base64,{packed}"


def write_html(
    file: IO[str],
    output: Folder,
    metrics: dict[str, Any],
    images: Iterable[tuple[ManifestRow, dict[str, Any] | None]],
    max_masks: int,
) -> None:
    """Write the gallery.

    Args:
        file: where to write.
        output: the run's folder, for the pictures.
        metrics: the content of ``metrics.json``.
        images: manifest rows with their masks, ``None`` where an image failed.
        max_masks: most segments of one image.
    """
    pictures = _Pictures(output, metrics["images"] <= MOST_INLINE)
    style = (_PAGE / "style.css").read_text("utf-8")
    script = (_PAGE / "script.js").read_text("utf-8")
    file.write(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Segment Anything: {metrics['images']} images</title>"
        f"<style>{style}</style></head><body>"
    )
    _write_figures(file, metrics)
    file.write('<main id="gallery">')
    for row, content in images:
        if content is None:
            _write_failure(file, row)
        else:
            _write_image(file, pictures, row, content, max_masks)
    file.write(
        '</main><p id="nothing" hidden>No image matches.</p>'
        '<dialog id="viewer" aria-label="Picture"><button type="button" aria-label="Close">'
        "&times;</button><img alt=''></dialog>"
        f"<script>{script}</script></body></html>\n"
    )


def _write_figures(file: IO[str], metrics: dict[str, Any]) -> None:
    stages = metrics["seconds_per_stage"]
    longest = max([*stages.values(), 1e-9])
    tiles = (
        ("images", f"{metrics['done']}"),
        ("masks", f"{metrics['masks']}"),
        ("failed", f"{metrics['failed']}"),
        ("images/s", f"{metrics['images_per_second']:.2f}"),
        ("seconds", f"{metrics['seconds']:.1f}"),
    )
    shown = "".join(
        f'<div class="tile{" bad" if name == "failed" and metrics["failed"] else ""}">'
        f"<b>{value}</b><span>{name}</span></div>"
        for name, value in tiles
    )
    bars = "".join(
        f'<div class="stage"><span>{escape(name)}</span><i style="width:'
        f'{max(seconds / longest * 100, 0.5):.1f}%"></i><em>{seconds:.2f} s</em></div>'
        for name, seconds in stages.items()
    )
    model = metrics["model"].get("name", "no model")
    file.write(
        f"<header><h1>Segment Anything</h1><p>{escape(model)} &middot; "
        f"{escape(metrics['precision'] or 'nothing computed')} &middot; "
        f"{escape(metrics['device'] or metrics['engine'])}</p>"
        f'<div class="tiles">{shown}</div>'
        f"<details><summary>Where the time went</summary>{bars}</details>"
        '<form id="filter" role="search"><input type="search" placeholder="Find an image" '
        'aria-label="Find an image"><select aria-label="Show"><option value="all">all images'
        '</option><option value="prompted">with prompts</option><option value="automatic">'
        'automatic</option><option value="failed">failed</option></select></form></header>'
    )


def _write_failure(file: IO[str], row: ManifestRow) -> None:
    file.write(
        f'<article data-name="{escape(row.image.lower())}" data-kind="failed" class="failed">'
        f"<h2>{escape(row.image)}</h2><p>{escape(row.reason)}</p></article>"
    )


def _write_image(
    file: IO[str],
    pictures: _Pictures,
    row: ManifestRow,
    content: dict[str, Any],
    max_masks: int,
) -> None:
    masks = content["masks"]
    name = escape(row.image)
    original = pictures.source(segment_name(row.image, 0), _LARGE)
    overlay = pictures.source(overlay_name(row.image), _LARGE)
    plural = "mask" if len(masks) == 1 else "masks"
    file.write(
        f'<article data-name="{escape(row.image.lower())}" data-kind="{content["mode"]}">'
        f"<h2>{name}</h2><p>{content['width']} &times; {content['height']} &middot; "
        f"{content['mode']} &middot; {len(masks)} {plural} &middot; {row.seconds:.2f} s</p>"
        f'<div class="pair"><figure><img loading="lazy" src="{original}" alt="{name}, original">'
        f'<figcaption>original</figcaption></figure><figure><img loading="lazy" src="{overlay}" '
        f'alt="{name}, all masks"><figcaption>all masks</figcaption></figure></div>'
    )
    if not masks:
        file.write('<p class="none">No mask passed the thresholds.</p>')
    file.write('<div class="segments">')
    for number, record in enumerate(masks[:max_masks], start=1):
        source = pictures.source(segment_name(row.image, number), _SMALL)
        red, green, blue = mask_colour(number - 1)
        file.write(
            f'<figure><img loading="lazy" src="{source}" alt="{name}, segment {number}">'
            f'<figcaption><i style="background:rgb({red},{green},{blue})"></i>'
            f"{record['predicted_iou']:.2f} &middot; "
            f"{record['area']:,}&nbsp;px</figcaption></figure>"
        )
    file.write("</div></article>")
