"""``report.html``: a gallery of the run, without scripts or styles from elsewhere.

The page holds one short row for each image and shows 24 at a time. Of a small run it also holds the
pictures, so that it can be sent to somebody; of a large one it loads ``report_data/*.js`` and the
pictures beside it when they are turned to. Scripts, because a page that was opened from a disk may
not load anything else.
"""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from PIL import Image

from pipeline.run.manifest import ManifestRow, overlay_name, segment_name
from pipeline.shard.pictures import encode_webp, mask_colour
from serving.storage import Folder

# A page with more images than this refers to the picture files beside it instead of holding them.
MOST_INLINE = 100
CHUNK = 200
DATA = "report_data"
_LARGE, _SMALL = 720, 220
_PAGE = Path(__file__).parent / "page"
_KINDS = {"automatic": 0, "prompted": 1, "failed": 2}


class Gallery:
    """The page, gathered image by image; what it keeps in memory is a short row for each.

    Args:
        output: the run's folder, for the pictures and the data beside the page.
        images: how many there will be.
        max_masks: most segments of one image.
    """

    def __init__(self, output: Folder, images: int, max_masks: int) -> None:
        self._output, self._max_masks = output, max_masks
        self._inline = images <= MOST_INLINE
        self._rows = bytearray()  # orjson's own objects keep 4 kB each
        self._details: list[dict[str, Any] | None] = []
        self._chunks: list[bytes] = []

    def add(self, row: ManifestRow, content: dict[str, Any] | None) -> None:
        """Add one image; ``content`` is its masks file, or ``None`` where it failed."""
        kind = _KINDS[content["mode"] if content is not None else "failed"]
        short = [row.image, kind, row.masks, round(row.seconds, 2)]
        self._rows += b",\n" if self._rows else b""
        self._rows += orjson.dumps([*short, row.reason] if row.reason else short)
        self._details.append(None if content is None else self._detail(row, content))
        if len(self._details) == CHUNK:
            self._end_chunk()

    def _end_chunk(self) -> None:
        if not self._details:
            return
        text = b"samReport(%d," % len(self._chunks) + _script_json(self._details) + b");\n"
        if self._inline:
            self._chunks.append(text)
        else:
            name = f"{DATA}/{len(self._chunks):05d}.js"
            self._output.write_bytes(name, text, "text/javascript")
            self._chunks.append(b"")
        self._details = []

    def _detail(self, row: ManifestRow, content: dict[str, Any]) -> dict[str, Any]:
        masks = content["masks"][: self._max_masks]
        outlines = content.get("outlines") or {"width": 1, "height": 1, "paths": []}
        detail: dict[str, Any] = {
            "size": [content["width"], content["height"]],
            "masks": [[round(one["predicted_iou"], 3), one["area"]] for one in masks],
            "frame": [outlines["width"], outlines["height"]],
            "paths": outlines["paths"],
        }
        if self._inline:
            detail["pictures"] = [
                self._packed(overlay_name(row.image), _LARGE),
                self._packed(segment_name(row.image, 0), _LARGE),
                *(
                    self._packed(segment_name(row.image, number), _SMALL)
                    for number in range(1, len(masks) + 1)
                ),
            ]
        return detail

    def _packed(self, name: str, longest: int) -> str:
        image = np.asarray(Image.open(io.BytesIO(self._output.read_bytes(name))).convert("RGB"))
        packed = base64.b64encode(encode_webp(image, longest)).decode("ascii")
        return f"data:image/webp;base64,{packed}"

    def page(self, metrics: dict[str, Any]) -> bytes:
        """The whole page.

        Args:
            metrics: the content of ``metrics.json``.
        """
        self._end_chunk()
        settings = {
            "chunk": CHUNK,
            "data": "" if self._inline else DATA,
            "colours": [mask_colour(number) for number in range(self._max_masks)],
        }
        rows = b"[" + bytes(self._rows) + b"]"
        return b"".join(
            (
                _file("head.html").replace(b"TITLE", f"{metrics['images']} images".encode()),
                b"<style>",
                _file("style.css"),
                b"</style></head><body>",
                _figures(metrics).encode(),
                _file("body.html"),
                b"<script>const SETTINGS=",
                _script_json(settings),
                b";\nconst ROWS=",
                _safe(rows),
                b";\n",
                _file("script.js"),
                *self._chunks,
                b"</script></body></html>\n",
            )
        )


def _file(name: str) -> bytes:
    return (_PAGE / name).read_bytes()


def _safe(content: bytes) -> bytes:
    """JSON that cannot end the script it stands in, whatever a file is called."""
    return content.replace(b"<", b"\\u003c").replace(b"\xe2\x80\xa8", b"\\u2028")


def _script_json(content: Any) -> bytes:
    return _safe(orjson.dumps(content))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.1f} min" if minutes < 100 else f"{hours:.1f} h"


def _figures(metrics: dict[str, Any]) -> str:
    run, forecast, cost = metrics["run"], metrics["forecast"], metrics["cost_usd"]
    tiles = [
        ("images", f"{metrics['done']:,}"),
        ("masks", f"{metrics['masks']:,}"),
        ("failed", f"{metrics['failed']:,}"),
        ("images/s", f"{metrics['images_per_second']:.2f}"),
        ("last run", _duration(run["wall_seconds"])),
    ]
    if run["busy_share"]:
        tiles.append(("network busy", f"{run['busy_share']:.0%}"))
    shown = "".join(
        f'<div class="tile{" bad" if name == "failed" and metrics["failed"] else ""}">'
        f"<b>{value}</b><span>{name}</span></div>"
        for name, value in tiles
    )
    model = metrics["model"].get("name", "no model")
    return (
        f"<header><h1>Segment Anything</h1><p>{escape(model)} &middot; "
        f"{escape(metrics['precision'] or 'nothing computed')} &middot; "
        f"{escape(metrics['device'] or metrics['engine'])}</p>"
        f'<div class="tiles">{shown}</div>'
        f"{_forecast(run, forecast, cost)}{_stages(metrics)}"
    )


def _forecast(run: dict[str, Any], forecast: dict[str, Any], cost: dict[str, Any]) -> str:
    if not forecast:
        return ""
    rows = (
        f"<tr><th>time</th><td>{_duration(forecast['seconds'])}</td>"
        f"<td>{_duration(run['wall_seconds'])}</td></tr>"
    )
    if cost:
        rows += (
            f"<tr><th>cost</th><td>${cost['estimated']:.2f}</td><td>${cost['actual']:.2f}</td></tr>"
        )
    return (
        '<table class="forecast"><tr><th></th><th>predicted</th><th>actual</th></tr>'
        f"{rows}</table><p>{escape(str(forecast['basis']))}</p>"
    )


def _stages(metrics: dict[str, Any]) -> str:
    stages = metrics["seconds_per_stage"]
    longest = max([*stages.values(), 1e-9])
    bars = "".join(
        f'<div class="stage"><span>{escape(name)}</span><i style="width:'
        f'{max(seconds / longest * 100, 0.5):.1f}%"></i><em>{_duration(seconds)}</em></div>'
        for name, seconds in stages.items()
    )
    return (
        "<details><summary>Where the time went</summary>"
        f"{bars}<p>Stages of all images added up; reading and writing go on beside the network."
        "</p></details>"
    )
