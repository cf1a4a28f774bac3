"""``report.html``: a gallery of the run, without scripts or styles from elsewhere.

The page holds one short row for each image and shows 24 at a time. Of a small run it also holds the
pictures, so that it can be sent to somebody; of a large one it loads ``report_data/*.js`` and the
pictures beside it when somebody turns to them. Scripts, because a page that was opened from a disk
may not load anything else.
"""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from PIL import Image

from pipeline.report.demo_network import demo_warning, real_work_commands
from pipeline.report.templates import duration, render_html
from pipeline.run.manifest import ManifestRow
from pipeline.run.output_layout import overlay_name, segment_name
from pipeline.shard.pictures import encode_webp, mask_colour
from serving.storage import Folder

# A page with more images than this refers to the picture files beside it instead of holding them.
MOST_INLINE = 100
CHUNK = 200  # images; more than a page holds inline, whose details are one chunk
DATA = "report_data"
_LARGE_SIDE, _SMALL_SIDE = 720, 220  # pixels
_CROP_MARGIN, _LEAST_CROP = 0.25, 0.12  # as in cards.js
_WHOLE = (0.0, 0.0, 1.0, 1.0)
_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("data.js", "cards.js", "viewer.js", "paging.js")  # each uses the ones before it
_KINDS = {"automatic": 0, "prompted": 1, "failed": 2}  # as KINDS in data.js


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
        self._chunks = 0

    def inline_pictures(self, image: str, content: dict[str, Any]) -> list[str]:
        """The pictures of one image that the page will hold, for :meth:`add`; of a large run none.

        This is what takes time where the output is a bucket. Threads may call it at once.

        Args:
            image: the image's name.
            content: its masks file.

        Returns:
            Data URLs: all masks, the original, and one for each of the best masks, cropped to it;
            of what the run did not draw none.

        Raises:
            StorageError: a picture cannot be read.
        """
        drawn = content.get("pictures", "all")
        if not self._inline or drawn == "none":
            return []
        if drawn == "overlays":
            return [self._data_url(overlay_name(image, small=True), _LARGE_SIDE)]
        segments = range(1, min(len(content["masks"]), self._max_masks) + 1)
        return [
            self._data_url(overlay_name(image), _LARGE_SIDE),
            self._data_url(segment_name(image, 0), _LARGE_SIDE),
            *(
                self._data_url(segment_name(image, number), _SMALL_SIDE, _crop(content, number - 1))
                for number in segments
            ),
        ]

    def _data_url(
        self, name: str, longest: int, crop: tuple[float, float, float, float] = _WHOLE
    ) -> str:
        picture = Image.open(io.BytesIO(self._output.read_bytes(name))).convert("RGB")
        width, height = picture.size
        left, top, right, bottom = crop
        box = (
            round(left * width),
            round(top * height),
            round(right * width),
            round(bottom * height),
        )
        image = np.asarray(picture.crop(box))
        return f"data:image/webp;base64,{base64.b64encode(encode_webp(image, longest)).decode()}"

    def add(self, row: ManifestRow, content: dict[str, Any] | None, pictures: list[str]) -> None:
        """Add one image.

        Args:
            row: its row of the manifest.
            content: its masks file, or ``None`` where it failed.
            pictures: what :meth:`inline_pictures` returned.

        Raises:
            StorageError: the data beside the page cannot be written.
        """
        kind = _KINDS[content["mode"] if content is not None else "failed"]
        columns = [row.image, kind, row.masks, round(row.seconds, 2)]  # as Row in data.js
        self._rows += b",\n" if self._rows else b""
        self._rows += orjson.dumps([*columns, row.plain_reason] if row.reason else columns)
        self._details.append(None if content is None else self._detail(content, pictures))
        if not self._inline and len(self._details) == CHUNK:
            self._write_chunk()

    def _detail(self, content: dict[str, Any], pictures: list[str]) -> dict[str, Any]:
        """What a card shows besides the row, as Detail in data.js."""
        outlines = content.get("outlines") or {"width": 1, "height": 1, "paths": []}
        masks = content["masks"][: self._max_masks]
        detail = {
            "size": [content["width"], content["height"]],
            "masks": [_figures(mask) for mask in masks],
            "boxes": [[round(side, 1) for side in mask["bbox"]] for mask in masks],
            "frame": [outlines["width"], outlines["height"]],
            "paths": outlines["paths"],
        }
        drawn = content.get("pictures", "all")
        detail |= {"drawn": drawn} if drawn != "all" else {}
        return detail | ({"pictures": pictures} if pictures else {})

    def _write_chunk(self) -> None:
        name = f"{DATA}/{self._chunks:05d}.js"
        script = b"samReport(%d," % self._chunks + orjson.dumps(self._details) + b");\n"
        self._output.write_bytes(name, script, "text/javascript")
        self._chunks += 1
        self._details = []

    def page(self, metrics: dict[str, Any]) -> bytes:
        """The whole page.

        Args:
            metrics: the content of ``metrics.json``.

        Raises:
            StorageError: the data beside the page cannot be written.
        """
        if not self._inline and self._details:
            self._write_chunk()
        style = (_PAGE / "report.css").read_text("utf-8")
        script = "".join((_PAGE / name).read_text("utf-8") for name in _SCRIPTS)
        settings = {
            "chunk": CHUNK,
            "data": "" if self._inline else DATA,
            "colours": [mask_colour(number) for number in range(self._max_masks)],
        }
        page = render_html(
            "page/report.html.j2",
            metrics=metrics,
            warning=demo_warning(
                metrics["model"].get("name", ""),
                done=metrics["done"],
                without_mask=metrics["without_mask"],
            ),
            real_work=real_work_commands(metrics["engine"]),
            tiles=_tiles(metrics),
            title=_title(metrics),
            finished=metrics.get("finished", ""),
            output=metrics.get("output", ""),
            settings_rows=_settings(metrics.get("settings", {})),
            stages=_stages(metrics["seconds_per_stage"]),
            policy=_content_security_policy(style, script, self._inline),
            style=style,
            script=script,
            settings=_inside_script(orjson.dumps(settings)),
            rows=_inside_script(b"[" + bytes(self._rows) + b"]"),
            details=_inside_script(orjson.dumps(self._details)),
        )
        return page.encode()


def _figures(mask: dict[str, Any]) -> list[Any]:
    """A mask as Detail.masks in data.js; its category only where somebody named it."""
    figures = [round(mask["predicted_iou"], 3), mask["area"]]
    return [*figures, mask["category"]] if mask.get("category") else figures


def _crop(content: dict[str, Any], mask: int) -> tuple[float, float, float, float]:
    """The part of an image that shows a mask well: left, top, right, bottom as shares of its sides.

    As ``cropTo`` in cards.js.
    """
    width, height = content["width"], content["height"]
    x, y, box_width, box_height = content["masks"][mask]["bbox"]
    longest = max(width, height)
    side = max((1 + 2 * _CROP_MARGIN) * max(box_width, box_height), _LEAST_CROP * longest)
    if side >= longest:
        return _WHOLE
    left, top = x + (box_width - side) / 2, y + (box_height - side) / 2
    return (
        max(left, 0) / width,
        max(top, 0) / height,
        min(left + side, width) / width,
        min(top + side, height) / height,
    )


def _inside_script(content: bytes) -> str:
    """JSON that cannot end the element it stands in, whatever a file is called."""
    return content.replace(b"<", b"\\u003c").decode()


def _content_security_policy(style: str, script: str, inline: bool) -> str:
    """Only the page's own style and script, and nothing from elsewhere.

    A browser takes ``'self'`` for what lies beside a page that a server sent, and not for what lies
    beside one that was opened from a disk; hence ``file:``.
    """
    beside = "" if inline else " 'self' file:"
    directives = (
        "default-src 'none'",
        f"img-src data:{beside}",
        f"style-src {_source_hash(style)}",
        f"script-src {_source_hash(script)}{beside}",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(directives)


def _source_hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _tiles(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    run, done = metrics["run"], metrics["done"]
    tiles: list[dict[str, Any]] = [
        {"name": "images done", "value": f"{done:,}"},
        {"name": "masks", "value": f"{metrics['masks']:,}"},
        {"name": "without mask", "value": f"{metrics['without_mask']:,}", "show": "none"},
        {
            "name": "failed",
            "value": f"{metrics['failed']:,}",
            "show": "failed",
            "bad": metrics["failed"] > 0,
        },
    ]
    if run["computed"] < done:  # the others were there before
        value = f"{run['computed']:,} of {done:,}"
        tiles.append({"name": "computed by the last run", "value": value})
    if metrics["images_per_second"]:
        tiles.append({"name": "images/s", "value": f"{metrics['images_per_second']:.2f}"})
    tiles.append({"name": "last run", "value": duration(run["wall_seconds"])})
    # A figure leads to its images where there are any.
    return [
        {"bad": False, "show": ""} | tile | ({"show": ""} if tile["value"] == "0" else {})
        for tile in tiles
    ]


def _title(metrics: dict[str, Any]) -> str:
    """What the run's owner called it: the last part of its output."""
    return str(metrics.get("output", "")).rstrip("/").rpartition("/")[2] or "Segment Anything"


def _settings(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """The run's settings as an operator calls them, with their values."""
    return [
        (
            "INPUT" if name == "inputs" else f"--{name.replace('_', '-')}",
            ", ".join(value)
            if isinstance(value, list)
            else "the checkpoint's own"
            if value in (None, "") and name != "prompts"
            else str(value) or "none",
        )
        for name, value in settings.items()
    ]


def _stages(seconds_per_stage: dict[str, float]) -> list[dict[str, Any]]:
    longest = max([*seconds_per_stage.values(), 1e-9])
    return [
        {"name": name, "seconds": seconds, "percent": round(max(seconds / longest * 100, 0.5), 1)}
        for name, seconds in seconds_per_stage.items()
    ]
