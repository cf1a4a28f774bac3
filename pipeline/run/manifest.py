"""The working files of a run: plans of shards, results of images, progress."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from pipeline.ordered_map import ordered_map
from serving.storage import WORK, Folder

JSON_TYPE = "application/json"
PLAN = f"{WORK}/plan.json"
ERROR = f"{WORK}/error.json"
PLANNED = f"{WORK}/planned.json"  # written when the plan is complete
MANIFEST = "manifest.jsonl"
FAILED = "failed.jsonl"  # the rows of the manifest that have no masks, with reasons
STAGES = ("read", "decode", "segment", "draw", "write")


def as_text(name: str) -> str:
    """A name as valid Unicode: bytes of a file's name that are none become question marks."""
    return name.encode("utf-8", "replace").decode("utf-8")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedImage:
    """One image of a run.

    Attributes:
        name: its name in the output, unique in the run, with forward slashes.
        folder: the local folder or ``gs://`` URI it lies in.
        file: its name below that folder.
        digest: digest of its content.
        prompts: its prompts in the long form; empty for automatic masks.
        fingerprint: digest of everything that decides its masks.
    """

    name: str
    folder: str
    file: str
    digest: str
    prompts: list[dict[str, Any]]
    fingerprint: str

    @property
    def source(self) -> str:
        """Where the image was read from, as text."""
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
        shard: which shard computed it; empty if none did.
        digest: digest of its content.
    """

    image: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    masks: int = 0
    shard: str = ""
    digest: str = ""

    def to_line(self) -> str:
        """The row as one line of JSON, with its newline."""
        return json.dumps(dataclasses.asdict(self)) + "\n"


def masks_name(image: str) -> str:
    """Where an image's masks are; the file is written last, so its presence means done."""
    return f"masks/{image}.json"


def overlay_name(image: str) -> str:
    """Where the picture of all masks on the image is."""
    return f"overlays/{image}.png"


def segment_name(image: str, number: int) -> str:
    """Where the picture of one segment is; number 0 is the image itself."""
    return f"segments/{image}/{number:02d}.png"


def shard_name(number: int) -> str:
    """The name of a shard, in listings and manifests."""
    return f"shard-{number:04d}"


def shard_plan_name(shard: str) -> str:
    """Where the list of a shard's images is."""
    return f"{WORK}/{shard}.plan.jsonl"


def shard_rows_name(shard: str) -> str:
    """Where a finished shard's manifest rows are."""
    return f"{WORK}/{shard}.rows.jsonl"


def shard_summary_name(shard: str) -> str:
    """Where a finished shard's own figures are: wall time, busy share, memory."""
    return f"{WORK}/{shard}.summary.json"


def shard_progress_name(shard: str) -> str:
    """Where a running shard says how far it is."""
    return f"{WORK}/{shard}.progress.json"


def write_json(folder: Folder, name: str, content: Any) -> None:
    """Write compact JSON."""
    folder.write_bytes(name, json.dumps(content, separators=(",", ":")).encode(), JSON_TYPE)


def read_json(folder: Folder, name: str) -> Any:
    """Read JSON back."""
    return json.loads(folder.read_bytes(name))


def plan_lines(images: Iterable[PlannedImage]) -> bytes:
    """Encode planned images, one a line."""
    return "".join(json.dumps(dataclasses.asdict(image)) + "\n" for image in images).encode()


def read_plan(folder: Folder, name: str) -> Iterator[PlannedImage]:
    """The planned images of a file that :func:`plan_lines` encoded."""
    for line in folder.read_bytes(name).splitlines():
        yield PlannedImage(**json.loads(line))


def read_rows(folder: Folder, name: str) -> Iterator[ManifestRow]:
    """The rows of a manifest."""
    for line in folder.read_bytes(name).splitlines():
        yield ManifestRow(**json.loads(line))


_HEAD_BYTES = 64
_HEAD = re.compile(rb'\{"fingerprint":"([0-9a-f]{32})",')


def is_done(folder: Folder, image: str, expected: str) -> bool:
    """Whether an image's masks are there with that fingerprint, told by the file's first bytes.

    A masks file of a large image has hundreds of kilobytes, and a run may resume 100,000 of them.
    Files appear whole or not at all, so the beginning vouches for the rest.
    """
    found = _HEAD.match(folder.read_head(masks_name(image), _HEAD_BYTES))
    return found is not None and found[1].decode() == expected


def finished(folder: Folder, planned: Sequence[PlannedImage]) -> set[str]:
    """The names of the images whose masks are there and still hold."""
    there = {file.name for file in folder.files("masks/")}
    candidates = [image for image in planned if masks_name(image.name) in there]

    def name_if_done(image: PlannedImage) -> str:
        return image.name if is_done(folder, image.name, image.fingerprint) else ""

    return set(ordered_map(name_if_done, candidates, folder.readers)) - {""}


def read_done(folder: Folder, image: str, expected: str) -> dict[str, Any] | None:
    """An image's finished masks, or ``None`` where there are none with that fingerprint."""
    name = masks_name(image)
    if not folder.exists(name):
        return None
    try:
        content = orjson.loads(folder.read_bytes(name))
    except ValueError:  # written by something else: compute it again
        return None
    if not isinstance(content, dict) or content.get("fingerprint") != expected:
        return None
    return content


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        total: images that this run has to compute; ``None`` until they are planned.
        done: images finished by it.
        failed: images that failed in it.
        masks: masks found by it.
    """

    total: int | None
    done: int = 0
    failed: int = 0
    masks: int = 0


def read_progress(folder: Folder, shards: int) -> Progress:
    """How far a run with at most ``shards`` shards is, from what its steps leave in ``folder``."""
    if not folder.exists(PLANNED):
        return Progress(total=None)
    counts = {"done": 0, "failed": 0, "masks": 0}
    for number in range(shards):
        name = shard_progress_name(shard_name(number))
        if folder.exists(name):
            for key, value in read_json(folder, name).items():
                counts[key] += value
    return Progress(total=read_json(folder, PLANNED)["todo"], **counts)
