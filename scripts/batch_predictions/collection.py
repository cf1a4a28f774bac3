"""The results of a batch prediction become a run's output, an image as soon as it has all."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline.run.manifest import ManifestRow, PlannedImage, read_masks
from pipeline.run.output_layout import masks_name
from pipeline.shard.image_outputs import (
    done_row,
    draw_pictures,
    failed_row,
    masks_content,
    write_masks,
    write_pictures,
)
from pipeline.shard.pictures import decode_once
from scripts.batch_predictions.input_lines import Line, line_key
from scripts.online_predictions.replies import mask_records
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import meter
from serving.sam.errors import ImageError
from serving.sam.images import decode_image
from serving.sam.masks import MaskRecord
from serving.sam.prompts import Prompt, parse_prompt
from serving.storage import Folder, StorageError, open_folder

SHARD = "batch"  # the shard that the manifest's rows name
NO_RESULT = "the batch prediction has no result for it; run again"
Answers = list[tuple[tuple[int, ...], dict[str, Any]]]  # objects of a line, and its prediction


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageWriter:
    """Writes images into a run's output as a run does.

    Attributes:
        output: the run's output.
        model: ``name`` and ``sha256`` of what computed the masks.
        max_masks: how many segments the reports show of an image.
        automatic: settings of the images without prompts.
    """

    output: Folder
    model: dict[str, str]
    max_masks: int
    automatic: dict[str, Any]

    def write(self, planned: PlannedImage, answers: Answers) -> ManifestRow:
        """Write an image's masks and pictures, masks last; return its manifest row.

        Raises:
            StorageError: the output cannot be written.
        """
        prompts = tuple(parse_prompt(form, planned.name) for form in planned.prompts)
        try:
            records = merge_records(answers, prompts)
            return done_row(planned, self._write(planned, records))
        except (OperatorError, ImageError) as error:
            return failed_row(planned, str(error), SHARD)

    def redraw(self, planned: PlannedImage) -> ManifestRow | None:
        """Draw an image anew from masks that are here and differ in their pictures only.

        Returns:
            Its row; ``None`` where there are no such masks, or the image cannot be read any more.

        Raises:
            StorageError: the output cannot be read or written.
        """
        content = read_masks(self.output, planned.name)
        if content is None or content.get("masks_fingerprint") != planned.masks_fingerprint:
            return None
        try:
            return done_row(planned, self._write(planned, content["masks"]))
        except ImageError:
            return None

    def _write(self, planned: PlannedImage, records: list[MaskRecord]) -> dict[str, Any]:
        try:
            data = open_folder(planned.folder).read_bytes(planned.file)
        except StorageError as error:
            raise ImageError(f"{planned.name}: cannot be read ({error})") from error
        pixels = decode_image(data, planned.name)
        for record in records:
            record.setdefault("stability_score", None)  # type: ignore[typeddict-item]
        about = {
            "settings": {} if planned.prompts else self.automatic,
            "checkpoint": self.model,
            "precision": "",
            "device": "vertex batch prediction",
            "shard": SHARD,
            "seconds": {},
        }
        decode = decode_once(records, self.max_masks)
        content = masks_content(planned, pixels, records, self.max_masks, about, decode)
        pictures = draw_pictures(planned, pixels, records, self.max_masks, decode)
        write_pictures(self.output, planned, pictures)
        write_masks(self.output, planned, content)
        return content


def merge_records(answers: Answers, prompts: tuple[Prompt, ...]) -> list[MaskRecord]:
    """The masks of one image from the predictions of its lines, in the order of its prompts.

    Raises:
        OperatorError: a prediction is an error, or of a form that is not ours.
    """
    by_object: dict[int, MaskRecord] = {}
    for objects, prediction in answers:
        try:
            records = mask_records(prediction, [prompts[number] for number in objects])
            if not objects:
                return records
            by_object |= dict(zip(objects, records, strict=True))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise OperatorError(
                f"the batch prediction's result is not of our server's form ({error!r})",
                hint="run again",
            ) from error
    return [by_object[number] for number in sorted(by_object)]


def redraw_images(writer: ImageWriter, images: Sequence[PlannedImage]) -> list[ManifestRow]:
    """:meth:`ImageWriter.redraw` of each image; the rows of those that it drew."""
    stored = {file.name for file in writer.output.files("masks/")} if images else set()
    candidates = [image for image in images if masks_name(image.name) in stored]
    rows: list[ManifestRow] = []
    with meter("drawing") as bar:
        for number, image in enumerate(candidates, 1):
            row = writer.redraw(image)
            if row is not None:
                rows.append(row)
                bar.update(number, len(candidates))
    return rows


def write_images(
    writer: ImageWriter,
    images: Sequence[PlannedImage],
    lines: Sequence[Line],
    results: Iterable[tuple[str, dict[str, Any]]],
    reasons: Mapping[str, str],
) -> list[ManifestRow]:
    """Write every image whose lines all have results; return the manifest rows of all images.

    Args:
        writer: writes into the run's output.
        images: the images as planned.
        lines: the job's input.
        results: the job's results with their keys, in any order; read once.
        reasons: why an image, by name, has no result.
    """
    planned = {image.name: image for image in images}
    rows: dict[str, ManifestRow] = {}
    with meter("collecting") as bar:
        for name, answers in _whole_images(lines, results):
            rows[name] = writer.write(planned[name], answers)
            bar.update(len(rows), len(images))
    return [
        rows.get(image.name) or failed_row(image, reasons.get(image.name, NO_RESULT), SHARD)
        for image in images
    ]


def _whole_images(
    lines: Sequence[Line], results: Iterable[tuple[str, dict[str, Any]]]
) -> Iterator[tuple[str, Answers]]:
    """Images with the results of all their lines; those that must wait do so on the disk."""
    by_key = {line_key(line.instance): number for number, line in enumerate(lines)}
    of_image: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        of_image.setdefault(line.image, []).append(number)
    waiting: dict[str, set[int]] = {}
    seen: set[int] = set()
    with tempfile.TemporaryDirectory(prefix="sam-batch-") as scratch:
        for key, prediction in results:
            if key not in by_key or by_key[key] in seen:
                continue
            number = by_key[key]
            seen.add(number)
            name = lines[number].image
            numbers = of_image[name]
            if len(numbers) == 1:
                yield name, [(lines[number].objects, prediction)]
                continue
            Path(scratch, str(number)).write_bytes(orjson.dumps(prediction))
            arrived = waiting.setdefault(name, set())
            arrived.add(number)
            if len(arrived) == len(numbers):
                yield name, [_taken(Path(scratch, str(n)), lines[n]) for n in numbers]


def _taken(path: Path, line: Line) -> tuple[tuple[int, ...], dict[str, Any]]:
    prediction: dict[str, Any] = orjson.loads(path.read_bytes())
    path.unlink()
    return line.objects, prediction
