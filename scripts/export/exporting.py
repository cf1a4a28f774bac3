"""Exports the masks of a run: part by part, so that size costs no memory and a kill one part.

The parts follow from the listing of ``masks/``. After each part the export notes what it was made
of; whoever runs it again skips the parts that would come out the same.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.ordered_map import ordered_map
from pipeline.run.output_layout import IMAGE_FOLDERS, TABLES
from scripts.export.formats import FORMATS, Format
from scripts.export.part import Numbering, Part
from scripts.export.source import ExportedImage, RunMasks
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import Meter
from serving.storage import WORK, Folder, StoredFile, open_folder

MOST_BYTES = 200_000_000  # of a file
MOST_IMAGES = 20_000  # of a part
STATE = f"{WORK}/parts"  # a small file for each part, or a large export would write its names often


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export made.

    Attributes:
        folder: where it lies.
        images: all of them.
        masks: all of them.
        parts: how many there are.
        kept: parts that were there already.
        loses: what the format cannot hold; empty for nothing.
        left_out: reasons why images are not in it.
        address: of the first image, where the caller said what it begins with.
        gone: images with masks that the run no longer has among its inputs; they are not in it.
    """

    folder: str
    images: int
    masks: int
    parts: int
    kept: int
    loses: str
    left_out: list[str]
    address: str
    gone: int


def export(
    output: Folder, name: str, target: Folder, *, reviewed: bool, image_prefix: str, bar: Meter
) -> Exported:
    """Write the masks of a run in a format.

    Args:
        output: the run's folder.
        name: one of :data:`FORMATS`.
        target: the folder that receives the export.
        reviewed: whether only masks count that somebody accepted.
        image_prefix: what stands before an image's name in its address; empty for where the run
            read it.
        bar: shows how far it is.

    Raises:
        OperatorError: there is nothing to export, or the format cannot hold these images.
        StorageError: the masks cannot be read, or the export cannot be written.
    """
    chosen = FORMATS[name]
    run = RunMasks(output, reviewed=reviewed)
    if chosen.by_stem:
        _check_stems(run.names())
    parts = list(_parts(run.files, chosen))
    options = {"format": name, "reviewed": reviewed, "image_prefix": image_prefix}
    before = _state(target)
    current: set[str] = set()
    numbering = Numbering(run.categories)
    folders = frozenset(str(PurePosixPath(name).parent).split("/")[0] for name in run.names())
    left_out: list[str] = []
    kept = done = 0
    for number, files in enumerate(parts):
        label = f"-{number:05d}" if len(parts) > 1 else ""
        key = _key(output, files, {**options, "label": label}, numbering)
        if number < len(before) and before[number]["key"] == key:
            kept += 1
            numbering, written = _numbering(before[number]), before[number]["files"]
        else:
            numbering = Numbering(numbering.categories, numbering.images, numbering.masks)
            part = Part(target, label, numbering, reviewed=reviewed, folders=folders)
            images = _shown(run.images(files), image_prefix, bar, done, len(run.files))
            chosen.write(part, images)
            written = sorted(part.files)
            left_out += part.left_out
            key = "" if part.left_out else key
        done += len(files)
        bar.update(done, len(run.files))
        if not key and number < len(before):  # what is left out now may be there from earlier
            written = sorted({*written, *before[number]["files"]})
        current.update(written)
        state = {
            "key": key,
            "files": written,
            "categories": numbering.categories,
            "images": numbering.images,
            "masks": numbering.masks,
        }
        if number >= len(before) or before[number] != state:
            target.write_bytes(_state_name(number), json.dumps(state).encode(), "application/json")
    for file in [file for part_state in before for file in part_state["files"]]:
        if file not in current:  # of an export that had more parts or images
            target.delete(file)
    for number in range(len(parts), len(before)):
        target.delete(_state_name(number))
    if reviewed and not numbering.masks and not left_out:
        raise OperatorError(
            f"{output.uri}: nobody has accepted a mask of this run",
            hint="review it with 'sam-vertex annotate', or leave out --reviewed",
        )
    return Exported(
        folder=target.uri,
        images=numbering.images,
        masks=numbering.masks,
        parts=len(parts),
        kept=kept,
        loses=chosen.loses,
        left_out=left_out,
        address=f"{image_prefix}{run.names()[0]}" if image_prefix else "",
        gone=run.gone,
    )


def _shown(
    images: Iterator[ExportedImage], prefix: str, bar: Meter, done: int, total: int
) -> Iterator[ExportedImage]:
    """The images, with their addresses, while the bar follows them."""
    for number, image in enumerate(images, 1):
        uri = f"{prefix}{image.name}" if prefix else image.uri
        yield dataclasses.replace(image, uri=uri, content={**image.content, "source": uri})
        bar.update(done + number, total)


def _parts(files: Sequence[StoredFile], chosen: Format) -> Iterator[list[StoredFile]]:
    part: list[StoredFile] = []
    size = 0
    for file in files:
        if part and (
            (size + file.size_bytes) * chosen.growth > MOST_BYTES or len(part) == MOST_IMAGES
        ):
            yield part
            part, size = [], 0
        part.append(file)
        size += file.size_bytes
    yield part


def _key(
    output: Folder,
    files: Sequence[StoredFile],
    options: dict[str, Any],
    numbering: Numbering,
) -> str:
    """A digest of everything that decides a part."""
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    known = [numbering.categories, numbering.images, numbering.masks]
    digest.update(json.dumps(known).encode())
    for file in files:
        content = file.digest or output.digest(file.name)
        digest.update(f"{file.name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _state_name(number: int) -> str:
    return f"{STATE}/{number:06d}.json"


def _state(target: Folder) -> list[dict[str, Any]]:
    """What earlier exports noted of their parts, in order."""
    names = sorted(file.name for file in target.files(f"{STATE}/"))
    return list(
        ordered_map(lambda name: json.loads(target.read_bytes(name)), names, target.readers)
    )


def _numbering(state: dict[str, Any]) -> Numbering:
    return Numbering(state["categories"], state["images"], state["masks"])


def _check_stems(names: Sequence[str]) -> None:
    """Refuse images whose files would have one name."""
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    counted = collections.Counter(stems)
    twice = [name for name, stem in zip(names, stems, strict=True) if counted[stem] > 1]
    if twice:
        raise OperatorError(
            f"{twice[0]} and {twice[1]} have one name without their suffix, and this format names "
            "files so",
            hint="rename one of them and run again, or choose another format",
        )


def open_target(output: Folder, name: str, target: str) -> Folder:
    """The folder of an export: what the caller named, or ``exports/FORMAT`` of the run.

    Raises:
        OperatorError: the run keeps its own files there.
    """
    folder = open_folder(target or f"{output.uri}/exports/{name}")
    uri, run = (os.path.realpath(f.uri) if f.is_local else f.uri for f in (folder, output))
    own = {f"{run}/{part}" for part in (*IMAGE_FOLDERS, TABLES)}
    if uri == run or any(f"{uri}/".startswith(f"{part}/") for part in own):
        raise OperatorError(
            f"{target}: the export would lie among the run's own files",
            hint="choose another --output",
        )
    return folder
