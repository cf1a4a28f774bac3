"""What a run writes about its images: the plan, the rows of the manifest, the finished masks."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import orjson

from pipeline.ordered_map import ordered_map
from pipeline.run.output_layout import masks_name
from pipeline.run.parameters import Pictures, RunError
from serving.storage import Folder, StorageError

_JSON = "application/json"
LINES = "application/jsonl"
STAGES = ("read", "decode", "segment", "draw", "write")


def as_text(name: str) -> str:
    """Return a file's name as valid Unicode, with a question mark for each byte that is not."""
    return name.encode("utf-8", "replace").decode("utf-8")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedImage:
    """One image of a run.

    Attributes:
        name: its name in the output, unique in the run, with forward slashes.
        folder: the local folder or ``gs://`` URI that holds it.
        file: its name below that folder.
        digest: digest of its content.
        prompts: its prompts in the long form; empty for automatic masks.
        fingerprint: digest of everything that decides its masks and pictures.
        masks_fingerprint: the same of its masks alone.
        pictures: which pictures are drawn of it.
    """

    name: str
    folder: str
    file: str
    digest: str
    prompts: list[dict[str, Any]]
    fingerprint: str
    masks_fingerprint: str = ""
    pictures: Pictures = "all"

    @property
    def source(self) -> str:
        """Where the run reads the image from, as text."""
        return as_text(f"{self.folder.rstrip('/')}/{self.file}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """One line of ``manifest.jsonl``.

    Attributes:
        image: the image's name.
        status: ``done`` or ``failed``.
        reason: why it failed; empty when done.
        seconds: time spent on it.
        masks: how many masks it has.
        shard: the shard that computed it; empty if none did.
        digest: digest of its content.
    """

    image: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    masks: int = 0
    shard: str = ""
    digest: str = ""

    @property
    def plain_reason(self) -> str:
        """The reason without the image's name, for where that stands beside it."""
        return self.reason.removeprefix(f"{self.image}: ")

    def to_line(self) -> str:
        """The row as one line of JSON, with its newline."""
        return json.dumps(_as_json(self)) + "\n"


Line = TypeVar("Line", PlannedImage, ManifestRow)


def write_json(folder: Folder, name: str, content: Any) -> None:
    """Write compact JSON."""
    folder.write_bytes(name, json.dumps(content, separators=(",", ":")).encode(), _JSON)


def read_json(folder: Folder, name: str) -> Any:
    """Read JSON back."""
    return json.loads(folder.read_bytes(name))


def _as_json(line: Line) -> dict[str, Any]:
    """As ``dataclasses.asdict``, which copies deeply and takes twenty times as long."""
    return {name: getattr(line, name) for name in line.__slots__}


def write_plan(folder: Folder, name: str, images: Iterable[PlannedImage]) -> None:
    """Write planned images, one a line.

    Raises:
        StorageError: the file cannot be written.
    """
    with folder.writing(name, LINES) as file:
        file.writelines(f"{json.dumps(_as_json(image))}\n".encode() for image in images)


def read_plan(folder: Folder, name: str) -> Iterator[PlannedImage]:
    """The planned images of a file that :func:`write_plan` wrote.

    Raises:
        DamagedFileError: a line is none of it.
        StorageError: the file cannot be read.
    """
    return _read_lines(folder, name, PlannedImage)


def read_rows(folder: Folder, name: str) -> Iterator[ManifestRow]:
    """The rows of a manifest.

    Raises:
        DamagedFileError: a line is none of it.
        StorageError: the file cannot be read.
    """
    return _read_lines(folder, name, ManifestRow)


class DamagedFileError(RunError):
    """Somebody has changed or cut a file that a run wrote for itself."""

    hint: str = "remove that file and run again, without --only-failed; finished images are kept"


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "Pictures": (str,),
    "int": (int,),
    "float": (int, float),
}


def _read_lines(folder: Folder, name: str, kind: type[Line]) -> Iterator[Line]:
    kinds = {field.name: _KINDS.get(str(field.type), (list,)) for field in dataclasses.fields(kind)}
    for number, line in enumerate(folder.lines(name), 1):
        try:
            # Not orjson: the name of a file need not be text.
            content = json.loads(line)
            wrong = [key for key, value in content.items() if not isinstance(value, kinds[key])]
            if wrong:
                raise TypeError(f"{', '.join(wrong)}: a value of another type")
            yield kind(**content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedFileError(
                f"{folder.uri_of(name)}: line {number} is none that a run writes ({error})"
            ) from error


_HEAD_BYTES = 64
_FINGERPRINT = re.compile(rb'\{"fingerprint":"([0-9a-f]{32})",')


def is_done(folder: Folder, image: str, expected: str) -> bool:
    """Whether an image's masks have that fingerprint, which stands in the file's first bytes.

    A masks file of a large image has hundreds of kilobytes, and a run may resume 100,000 of them.
    Files appear whole or not at all, so the beginning vouches for the rest.
    """
    match = _FINGERPRINT.match(folder.read_head(masks_name(image), _HEAD_BYTES))
    return match is not None and match[1].decode() == expected


def finished(folder: Folder, planned: Sequence[PlannedImage]) -> set[str]:
    """The names of the images whose masks exist and have the planned fingerprint."""
    stored = {file.name for file in folder.files("masks/")}
    candidates = [image for image in planned if masks_name(image.name) in stored]

    def name_if_done(image: PlannedImage) -> str:
        return image.name if is_done(folder, image.name, image.fingerprint) else ""

    return set(ordered_map(name_if_done, candidates, folder.readers)) - {""}


def read_done(folder: Folder, image: str, expected: str) -> dict[str, Any] | None:
    """An image's finished masks, or ``None`` where there are none with that fingerprint."""
    content = read_masks(folder, image)
    return content if content is not None and content.get("fingerprint") == expected else None


def read_masks(folder: Folder, image: str) -> dict[str, Any] | None:
    """An image's masks, whatever run they are of; ``None`` where there are none."""
    try:
        content = orjson.loads(folder.read_bytes(masks_name(image)))
    except StorageError as error:
        if not error.missing:
            raise
        return None
    except ValueError:  # written by something else: compute it again
        return None
    return content if isinstance(content, dict) else None
