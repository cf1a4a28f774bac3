"""Second step, once for each shard: images in, masks and pictures out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from typing import Any

from pipeline.checkpoint import local_checkpoint
from pipeline.manifest import (
    ManifestRow,
    PlannedImage,
    masks_name,
    overlay_name,
    read_done,
    read_plan,
    segment_name,
    shard_plan_name,
    shard_progress_name,
    shard_rows_name,
    write_json,
)
from pipeline.parameters import RunParameters
from pipeline.pictures import draw_overlay, draw_segments, encode_png
from pipeline.storage import Folder, LocalFolder, StorageError, open_folder
from serving.sam.automatic import AutomaticSettings
from serving.sam.engine import Engine
from serving.sam.errors import ImageError, InputError
from serving.sam.images import decode_image
from serving.sam.prompts import parse_prompt

_PNG = "image/png"
_LOCAL_PROGRESS_SECONDS = 0.3
_BUCKET_PROGRESS_SECONDS = 5.0


class _Clock:
    """Seconds spent in each stage of one image."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


class _Progress:
    """Says now and then how far the shard is, where the command line can read it."""

    def __init__(self, output: Folder, shard: str) -> None:
        self._output, self._name = output, shard_progress_name(shard)
        local = isinstance(output, LocalFolder)
        self._pause = _LOCAL_PROGRESS_SECONDS if local else _BUCKET_PROGRESS_SECONDS
        self._last = 0.0
        self.counts = {"done": 0, "failed": 0, "masks": 0}

    def add(self, row: ManifestRow) -> None:
        self.counts[row.status] += 1
        self.counts["masks"] += row.masks
        self.say(force=False)

    def say(self, *, force: bool) -> None:
        if force or time.monotonic() - self._last >= self._pause:
            write_json(self._output, self._name, self.counts)
            self._last = time.monotonic()


def segment_shard(parameters: RunParameters, shard: str) -> str:
    """Segment the images of one shard and return the name of the file with its manifest rows.

    Each image's masks are written last and whole: being killed at any moment costs the image in
    hand. An image that cannot be used becomes a failed row; only a full disk, a lost bucket or a
    wrong checkpoint ends the step.

    Raises:
        SamError: the checkpoint, device or a setting cannot be used.
        StorageError: the output cannot be written.
    """
    output = open_folder(parameters.output)
    progress = _Progress(output, shard)
    rows: list[str] = []
    images = list(read_plan(output, shard_plan_name(shard)))
    if images:
        with local_checkpoint(parameters.checkpoint) as (path, entry):
            engine = Engine.load(path, entry, precision=parameters.precision)
        for image in images:
            row = _segment_one(parameters, engine, output, image, shard)
            rows.append(row.to_line())
            progress.add(row)
    output.write_bytes(shard_rows_name(shard), "".join(rows).encode(), "application/jsonl")
    progress.say(force=True)
    return shard_rows_name(shard)


def automatic_settings(parameters: RunParameters, engine: Engine) -> AutomaticSettings:
    """The checkpoint's own thresholds with what the caller set."""
    base = engine.checkpoint.automatic.to_json()
    return AutomaticSettings(**{**base, **parameters.automatic_overrides()})


def _segment_one(
    parameters: RunParameters, engine: Engine, output: Folder, image: PlannedImage, shard: str
) -> ManifestRow:
    done = read_done(output, image.name, image.fingerprint)
    if done is not None:  # a retried shard meets what its first try finished
        return done_row(image, done)
    # Whoever looks at the output must not take an older image's masks for this one's.
    output.delete(masks_name(image.name))
    clock = _Clock()
    try:
        content = _compute(parameters, engine, output, image, clock)
    except InputError as error:
        return _failed(image, shard, clock, str(error))
    except StorageError:  # reading has its own error below: this is the output
        raise
    except Exception as error:  # one image must not cost the others their work
        traceback.print_exc()
        return _failed(
            image, shard, clock, f"{image.name}: unexpected {type(error).__name__}: {error}"
        )
    content["shard"] = shard
    content["seconds"] = {stage: round(spent, 4) for stage, spent in clock.seconds.items()}
    write_json(output, masks_name(image.name), content)
    return done_row(image, content)


def _failed(image: PlannedImage, shard: str, clock: _Clock, reason: str) -> ManifestRow:
    clock.lap("failed")
    return ManifestRow(
        image=image.name,
        status="failed",
        reason=reason,
        seconds=round(clock.total, 4),
        shard=shard,
        digest=image.digest,
    )


def done_row(image: PlannedImage, content: dict[str, Any]) -> ManifestRow:
    """The manifest row of finished masks."""
    return ManifestRow(
        image=image.name,
        status="done",
        seconds=round(sum(content["seconds"].values()), 4),
        masks=len(content["masks"]),
        shard=content["shard"],
        digest=image.digest,
    )


def _compute(
    parameters: RunParameters,
    engine: Engine,
    output: Folder,
    image: PlannedImage,
    clock: _Clock,
) -> dict[str, Any]:
    try:
        data = open_folder(image.folder).read_bytes(image.file)
    except StorageError as error:
        raise ImageError(f"{image.name}: cannot be read ({error})") from error
    clock.lap("read")
    pixels = decode_image(data, image.name)
    del data
    clock.lap("decode")
    settings = automatic_settings(parameters, engine)
    if image.prompts:
        prompts = [parse_prompt(form, image.name) for form in image.prompts]
        records = engine.segment(engine.embed(pixels), prompts)
    else:
        records = engine.generate(pixels, settings)
    clock.lap("segment")
    pictures = list(_pictures(image.name, pixels, records, parameters.max_masks))
    clock.lap("draw")
    output.delete_folder(f"segments/{image.name}")  # of an earlier run that found more
    for name, png in pictures:
        output.write_bytes(name, png, _PNG)
    clock.lap("write")
    return {
        "image": image.name,
        "source": image.source,
        "digest": image.digest,
        "fingerprint": image.fingerprint,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "mode": "prompted" if image.prompts else "automatic",
        "settings": {} if image.prompts else settings.to_json(),
        "checkpoint": {"name": engine.checkpoint.name, "sha256": engine.checkpoint.sha256},
        "precision": engine.precision,
        "device": str(engine.device),
        "masks": records,
    }


def _pictures(name: str, pixels: Any, records: Any, most: int) -> Iterator[tuple[str, bytes]]:
    yield overlay_name(name), encode_png(draw_overlay(pixels, records))
    for number, picture in enumerate(draw_segments(pixels, records, most)):
        yield segment_name(name, number), encode_png(picture)
