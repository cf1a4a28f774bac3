"""The images of one shard become masks and pictures.

Three things happen at once: threads read and decode the next images, the network computes one, and
another thread draws and writes the one before it. The network is what costs, so nothing else may
hold it up.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.ordered_map import ordered_map
from pipeline.run.checkpoint_source import local_checkpoint
from pipeline.run.claim import ClaimLostError
from pipeline.run.guarded_output import open_output
from pipeline.run.manifest import (
    ManifestRow,
    PlannedImage,
    read_done,
    read_masks,
    read_plan,
    write_json,
)
from pipeline.run.output_layout import (
    masks_name,
    shard_plan_name,
    shard_rows_name,
    shard_summary_name,
)
from pipeline.run.parameters import RunParameters
from pipeline.run.progress import ShardProgress
from pipeline.shard.figures import ShardFigures
from pipeline.shard.image_in_hand import InHand, RestartPolicy
from pipeline.shard.image_loading import LoadedImage, load_planned_image, unexpected_reason
from pipeline.shard.image_outputs import (
    done_row,
    draw_pictures,
    failed_row,
    masks_content,
    remove_pictures,
    write_masks,
    write_pictures,
)
from pipeline.shard.lost_device import LostDeviceError, check_accelerator
from pipeline.shard.pictures import decode_once
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.engine import Engine
from serving.sam.errors import InputError
from serving.sam.images import RgbImage
from serving.sam.machine.accelerator import describe_device, is_lost_device
from serving.sam.masks import MaskRecord
from serving.sam.precision_check import settle_precision, small_scene
from serving.sam.prompts import parse_prompt

_BUCKET_READERS = 3  # images read ahead from a bucket, which is far away


def segment_images(
    parameters: RunParameters,
    shard: str,
    policy: RestartPolicy | None = None,
    note_path: Path | None = None,
) -> str:
    """Segment the images of one shard and return the name of the file with its manifest rows.

    The shard writes each image's masks last and whole: whoever kills it at any moment costs it the
    image in hand. An image that cannot be used becomes a failed row; only a full disk, a lost
    bucket or a wrong checkpoint ends the shard.

    Args:
        parameters: the run.
        shard: the shard's name.
        policy: what to skip and to take alone; by default nothing.
        note_path: file that receives a note of each image as work on it begins.

    Raises:
        SamError: the checkpoint, device or a setting cannot be used.
        NoAcceleratorError: the run's machines have a GPU, and none works here.
        LostDeviceError: the accelerator fails for good; another process may go on.
        ClaimLostError: another run has taken over the output.
        StorageError: the output cannot be written.
    """
    segmentation = _ShardSegmentation(parameters, shard, policy or RestartPolicy(), note_path)
    output = segmentation.output
    images = list(read_plan(output, shard_plan_name(shard)))
    left = images if segmentation.policy.first else segmentation.without_finished(images)
    segmentation.run(left)
    rows = "".join(row.to_line() for row in sorted(segmentation.rows, key=lambda row: row.image))
    output.write_bytes(shard_rows_name(shard), rows.encode(), "application/jsonl")
    write_json(output, shard_summary_name(shard), segmentation.figures.to_json())
    return shard_rows_name(shard)


class _ShardSegmentation:
    """One shard while its images are computed."""

    def __init__(
        self,
        parameters: RunParameters,
        shard: str,
        policy: RestartPolicy,
        note_path: Path | None,
    ) -> None:
        self.parameters, self.shard, self.policy = parameters, shard, policy
        self.output = open_output(parameters)
        self.in_hand = InHand(note_path, self.output, shard, policy.run_alone)
        self.progress = ShardProgress(self.output, shard)
        self.figures = ShardFigures(restarts=policy.restarts)
        self.rows: list[ManifestRow] = []

    def add(self, row: ManifestRow) -> None:
        self.rows.append(row)
        self.in_hand.finish(computed=row.status == "done")
        self.progress.add(row)

    def fail(self, image: PlannedImage, reason: str, seconds: float) -> None:
        self._remove_older(image)
        self.add(failed_row(image, reason, self.shard, seconds))

    def _remove_older(self, image: PlannedImage) -> None:
        """Whoever looks at the output must not take an older image's masks for this one's."""
        self.output.delete(masks_name(image.name))
        remove_pictures(self.output, image)

    def without_finished(self, images: Sequence[PlannedImage]) -> list[PlannedImage]:
        """The images that earlier processes of the shard have not finished; counts the others.

        It asks for each of them, and lists nothing: an output may hold the masks of 1000 shards.
        """

        def earlier_row(image: PlannedImage) -> ManifestRow | None:
            content = read_done(self.output, image.name, image.fingerprint)
            return None if content is None else done_row(image, content)

        left = []
        rows = ordered_map(earlier_row, images, self.output.readers)
        for image, row in zip(images, rows, strict=True):
            if row is None:
                left.append(image)
            else:
                self.rows.append(row)
                self.progress.add(row)
        return left

    def run(self, images: Sequence[PlannedImage]) -> None:
        if not images:
            self.progress.write()
            return
        parameters = self.parameters
        started = time.perf_counter()
        check_accelerator(parameters)
        engine = self._loaded_engine()
        print(f"{self.shard}: computes on {self.figures.machine}", flush=True)
        self.figures.load_seconds = time.perf_counter() - started
        begun = time.perf_counter()
        writing: Future[ManifestRow] | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer:
            for loaded in self._loaded(images, engine.shrink):
                self.in_hand.begin(loaded.image.name)
                records = self._compute(engine, loaded)
                if writing is not None:
                    # One at a time: whoever kills the shard costs it one image, not a queue.
                    self.add(writing.result())
                    writing = None
                if records is None:
                    self.fail(loaded.image, loaded.reason, loaded.watch.total)
                elif self.in_hand.alone:
                    self.add(self._finish(engine, loaded, records))
                else:
                    writing = writer.submit(self._finish, engine, loaded, records)
            if writing is not None:
                self.add(writing.result())
        self.figures.wall_seconds = time.perf_counter() - begun
        self.progress.write()

    def _loaded_engine(self) -> Engine:
        """The network on its device, in the precision that is good there."""
        parameters = self.parameters
        try:
            with local_checkpoint(parameters.checkpoint) as (path, entry):
                engine = Engine.load(
                    path,
                    entry,
                    device=parameters.device,
                    precision=parameters.precision,
                    family=parameters.family,
                )
            if engine.precision != "fp32":
                settle_precision(engine, *small_scene())
            description = describe_device(engine.device)
        except Exception as error:
            if is_lost_device(error):
                raise LostDeviceError(f"while the network was loaded: {error}") from error
            raise
        self.figures.machine = {**description, "precision": engine.precision}
        return engine

    def _loaded(
        self, images: Sequence[PlannedImage], shrink: Callable[[RgbImage], RgbImage]
    ) -> Iterator[LoadedImage]:
        """The images decoded and shrunk, the next ones while the caller computes."""

        def load(image: PlannedImage) -> LoadedImage:
            skip_reason = self.policy.skip.get(image.name, "")
            return load_planned_image(image, skip_reason, self.parameters.window, shrink)

        left = collections.deque(images)
        while left and self.in_hand.alone:  # asked anew, since a failed image does not count
            image = left.popleft()
            self.in_hand.begin(image.name)
            yield load(image)
        readers = 1 if self.output.readers == 1 else _BUCKET_READERS
        yield from ordered_map(load, left, readers, readers)

    def _compute(self, engine: Engine, loaded: LoadedImage) -> list[MaskRecord] | None:
        """The masks of an image; ``None``, with the reason in ``loaded``, where it fails."""
        image, pixels = loaded.image, loaded.pixels
        if pixels is None:
            return None
        earlier = self._stored_masks(loaded)
        if earlier is not None:
            return earlier
        loaded.watch.start()
        for attempt in (1, 2):
            try:
                if image.prompts:
                    prompts = [parse_prompt(form, image.name) for form in image.prompts]
                    records = engine.segment(engine.embed(pixels, shrunk=loaded.shrunk), prompts)
                else:
                    records = engine.generate(
                        pixels,
                        self._automatic_settings(engine),
                        on_progress=self.progress.within,
                        shrunk=loaded.shrunk,
                    )
                break
            except ClaimLostError:  # as every write may raise it, of the progress too
                raise
            except InputError as error:
                loaded.reason = str(error)
                return None
            except Exception as error:  # a GPU's hiccup passes; what stays costs this image only
                loaded.reason = unexpected_reason(image, error)
                if is_lost_device(error):
                    raise LostDeviceError(loaded.reason) from error
                if attempt == 2:
                    return None
        loaded.watch.lap("segment")
        self.figures.busy_seconds += loaded.watch.seconds["segment"]
        seconds = loaded.watch.seconds["segment"]
        print(f"{image.name}: {len(records)} masks in {seconds:.2f} s", flush=True)
        return records

    def _stored_masks(self, loaded: LoadedImage) -> list[MaskRecord] | None:
        """An image's masks from an earlier run that differs in its pictures only, if there was one.

        They keep the time that they took then.
        """
        image = loaded.image
        content = read_masks(self.output, image.name)
        if content is None or not image.masks_fingerprint:
            return None
        if content.get("masks_fingerprint") != image.masks_fingerprint:
            return None
        self.figures.redrawn += 1
        loaded.watch.seconds["segment"] = float(content["seconds"].get("segment", 0.0))
        records: list[MaskRecord] = content["masks"]
        print(f"{image.name}: {len(records)} masks were there, drawn anew", flush=True)
        return records

    def _automatic_settings(self, engine: Engine) -> AutomaticSettings:
        """The checkpoint's own thresholds with what the caller set."""
        base = engine.checkpoint.automatic.to_json()
        return AutomaticSettings(**{**base, **self.parameters.automatic_overrides()})

    def _about(self, engine: Engine, loaded: LoadedImage) -> dict[str, Any]:
        """How an image's masks were made, for its masks file."""
        prompted = bool(loaded.image.prompts)
        return {
            "settings": {} if prompted else self._automatic_settings(engine).to_json(),
            "checkpoint": {"name": engine.checkpoint.name, "sha256": engine.checkpoint.sha256},
            "precision": engine.precision,
            "device": str(engine.device),
            "shard": self.shard,
            "seconds": loaded.watch.seconds,
            **({"georeference": loaded.georeference} if loaded.georeference else {}),
        }

    def _finish(
        self, engine: Engine, loaded: LoadedImage, records: list[MaskRecord]
    ) -> ManifestRow:
        """Draw and write one image; in the writer's thread."""
        image, watch, most = loaded.image, loaded.watch, self.parameters.max_masks
        assert loaded.pixels is not None  # noqa: S101  (it was computed)
        watch.start()
        self.output.delete(masks_name(image.name))  # of an older image of this name
        try:
            decode = decode_once(records, most)
            pictures = draw_pictures(image, loaded.pixels, records, most, decode)
            content = masks_content(
                image, loaded.pixels, records, most, self._about(engine, loaded), decode
            )
        except Exception as error:  # one image must not cost the others their work
            reason = unexpected_reason(image, error)
            remove_pictures(self.output, image)
            return failed_row(image, reason, self.shard, watch.total)
        loaded.pixels = None
        watch.lap("draw")
        write_pictures(self.output, image, pictures)
        watch.lap("write")
        content["seconds"] = {stage: round(spent, 4) for stage, spent in watch.seconds.items()}
        write_masks(self.output, image, content)
        return done_row(image, content)
