"""Second step, once for each shard: images in, masks and pictures out.

Three things happen at once: the next images are read and decoded, one is computed, and the one
before it is drawn and written. The network is what costs, so nothing else may hold it up.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.ordered_map import ordered_map
from pipeline.run.checkpoint_source import local_checkpoint
from pipeline.run.claim import JOB_SECONDS, renew
from pipeline.run.manifest import (
    ManifestRow,
    PlannedImage,
    finished,
    masks_name,
    read_done,
    read_plan,
    shard_plan_name,
    shard_rows_name,
    shard_summary_name,
    write_json,
)
from pipeline.run.parameters import RunParameters
from pipeline.shard.figures import Progress, ShardFigures, Stopwatch
from pipeline.shard.image_in_hand import Hand
from pipeline.shard.image_outputs import (
    done_row,
    draw_pictures,
    failed_row,
    masks_content,
    write_masks,
    write_pictures,
)
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.engine import Engine
from serving.sam.errors import ImageError, InputError
from serving.sam.images import RgbImage, decode_image
from serving.sam.masks import MaskRecord
from serving.sam.prompts import parse_prompt
from serving.storage import StorageError, open_folder

_RENEW_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Care:
    """What is known of earlier lives of this shard's process.

    Attributes:
        hand: notes the image in hand.
        skip: images that are not tried again, with the reason.
        restarts: how many lives there were.
    """

    hand: Hand = dataclasses.field(default_factory=Hand)
    skip: dict[str, str] = dataclasses.field(default_factory=dict)
    restarts: int = 0


@dataclasses.dataclass(slots=True)
class _Loaded:
    image: PlannedImage
    watch: Stopwatch
    pixels: RgbImage | None = None
    reason: str = ""


def segment_shard(parameters: RunParameters, shard: str, care: Care | None = None) -> str:
    """Segment the images of one shard and return the name of the file with its manifest rows.

    Each image's masks are written last and whole: being killed at any moment costs the image in
    hand. An image that cannot be used becomes a failed row; only a full disk, a lost bucket or a
    wrong checkpoint ends the step.

    Raises:
        SamError: the checkpoint, device or a setting cannot be used.
        StorageError: the output cannot be written.
    """
    work = _Shard(parameters, shard, care or Care())
    output = work.output
    images = list(read_plan(output, shard_plan_name(shard)))
    done = finished(output, images)
    for image in images:
        content = read_done(output, image.name, image.fingerprint) if image.name in done else None
        if content is not None:  # a retried shard meets what its first try finished
            work.rows.append(done_row(image, content))
            work.progress.add(work.rows[-1])
        else:
            done.discard(image.name)
    work.run([image for image in images if image.name not in done])
    rows = "".join(row.to_line() for row in sorted(work.rows, key=lambda row: row.image))
    output.write_bytes(shard_rows_name(shard), rows.encode(), "application/jsonl")
    write_json(output, shard_summary_name(shard), work.figures.to_json())
    return shard_rows_name(shard)


def automatic_settings(parameters: RunParameters, engine: Engine) -> AutomaticSettings:
    """The checkpoint's own thresholds with what the caller set."""
    base = engine.checkpoint.automatic.to_json()
    return AutomaticSettings(**{**base, **parameters.automatic_overrides()})


class _Shard:
    """One shard while it is computed."""

    def __init__(self, parameters: RunParameters, shard: str, care: Care) -> None:
        self.parameters, self.shard, self.care = parameters, shard, care
        self.output = open_folder(parameters.output)
        self.progress = Progress(self.output, shard)
        self.figures = ShardFigures(restarts=care.restarts)
        self.rows: list[ManifestRow] = []
        self._renewed = time.monotonic()

    def add(self, row: ManifestRow) -> None:
        self.rows.append(row)
        self.care.hand.finish()
        self.progress.add(row)
        if self.parameters.run_id and time.monotonic() - self._renewed > _RENEW_SECONDS:
            renew(self.output, self.parameters.run_id, JOB_SECONDS)
            self._renewed = time.monotonic()

    def fail(self, image: PlannedImage, reason: str, seconds: float) -> None:
        # Whoever looks at the output must not take an older image's masks for this one's.
        self.output.delete(masks_name(image.name))
        self.add(failed_row(image, reason, self.shard, seconds))

    def run(self, images: Sequence[PlannedImage]) -> None:
        if not images:
            self.progress.say(force=True)
            return
        parameters = self.parameters
        started = time.perf_counter()
        with local_checkpoint(parameters.checkpoint) as (path, entry):
            engine = Engine.load(path, entry, precision=parameters.precision)
        self.figures.load_seconds = time.perf_counter() - started
        begun = time.perf_counter()
        writing: Future[ManifestRow] | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer:
            for loaded in self._loaded(images):
                self.care.hand.begin(loaded.image.name)
                found = self._compute(engine, loaded)
                if writing is not None:
                    # One at a time: being killed costs the image in hand, not a queue of them.
                    self.add(writing.result())
                    writing = None
                if found is None:
                    self.fail(loaded.image, loaded.reason, loaded.watch.total)
                elif self.care.hand.alone:
                    self.add(self._finish(engine, loaded, found))
                else:
                    writing = writer.submit(self._finish, engine, loaded, found)
            if writing is not None:
                self.add(writing.result())
        self.figures.wall_seconds = time.perf_counter() - begun
        self.progress.say(force=True)

    def _loaded(self, images: Sequence[PlannedImage]) -> Iterator[_Loaded]:
        """The images decoded, the next ones while the caller computes."""
        alone = self.care.hand.one_by_one
        careful, rest = images[:alone], images[alone:]
        one_by_one = map(self._load_in_hand, careful)
        readers = 1 if self.output.readers == 1 else 3  # a bucket is far away
        return itertools.chain(one_by_one, ordered_map(self._load, rest, readers, readers))

    def _load_in_hand(self, image: PlannedImage) -> _Loaded:
        self.care.hand.begin(image.name)
        return self._load(image)

    def _load(self, image: PlannedImage) -> _Loaded:
        loaded = _Loaded(image, Stopwatch(), reason=self.care.skip.get(image.name, ""))
        if loaded.reason:
            return loaded
        try:
            data = open_folder(image.folder).read_bytes(image.file)
            loaded.watch.lap("read")
            loaded.pixels = decode_image(data, image.name)
        except StorageError as error:
            loaded.reason = f"{image.name}: cannot be read ({error})"
        except ImageError as error:
            loaded.reason = str(error)
        except Exception as error:  # one image must not cost the others their work
            loaded.reason = _unexpected(image, error)
        loaded.watch.lap("decode")
        return loaded

    def _compute(self, engine: Engine, loaded: _Loaded) -> list[MaskRecord] | None:
        """The masks of an image, or ``None`` with the reason noted."""
        image, pixels = loaded.image, loaded.pixels
        if pixels is None:
            return None
        loaded.watch.start()
        for attempt in (1, 2):
            try:
                if image.prompts:
                    prompts = [parse_prompt(form, image.name) for form in image.prompts]
                    found = engine.segment(engine.embed(pixels), prompts)
                else:
                    found = engine.generate(pixels, automatic_settings(self.parameters, engine))
                break
            except InputError as error:
                loaded.reason = str(error)
                return None
            except Exception as error:  # a GPU's hiccup passes; what stays costs this image only
                loaded.reason = _unexpected(image, error)
                if attempt == 2:
                    return None
        loaded.watch.lap("segment")
        self.figures.busy_seconds += loaded.watch.seconds["segment"]
        seconds = loaded.watch.seconds["segment"]
        print(f"{image.name}: {len(found)} masks in {seconds:.2f} s", flush=True)
        return found

    def _finish(self, engine: Engine, loaded: _Loaded, records: list[MaskRecord]) -> ManifestRow:
        """Draw and write one image; in the writer's thread."""
        image, watch, most = loaded.image, loaded.watch, self.parameters.max_masks
        assert loaded.pixels is not None  # noqa: S101  (it was computed)
        watch.start()
        self.output.delete(masks_name(image.name))  # of an older image of this name
        pictures = draw_pictures(image, loaded.pixels, records, most)
        settings = {} if image.prompts else automatic_settings(self.parameters, engine).to_json()
        about = {
            "settings": settings,
            "checkpoint": {"name": engine.checkpoint.name, "sha256": engine.checkpoint.sha256},
            "precision": engine.precision,
            "device": str(engine.device),
            "shard": self.shard,
            "seconds": watch.seconds,
        }
        content = masks_content(image, loaded.pixels, records, most, about)
        loaded.pixels = None
        watch.lap("draw")
        write_pictures(self.output, image, pictures)
        watch.lap("write")
        content["seconds"] = {stage: round(spent, 4) for stage, spent in watch.seconds.items()}
        write_masks(self.output, image, content)
        return done_row(image, content)


def _unexpected(image: PlannedImage, error: Exception) -> str:
    traceback.print_exc()
    return f"{image.name}: unexpected {type(error).__name__}: {error}"
