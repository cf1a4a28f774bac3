"""What annotating leaves in OUT: masks files as a run's, prompts, verdicts, and COCO.

``masks/<image>.json`` is the truth and is written first; ``prompts.json`` and ``reviewed.jsonl``
follow from it at every save, data sets and pictures shortly after (see background.py). Until all
that is done a note names the last image and those without their pictures, so that the next start
makes up for a process that was killed before.
"""

from __future__ import annotations

import functools
import json
import threading
import uuid
from typing import Any

import orjson

from pipeline.run.manifest import read_json, write_json
from pipeline.run.output_layout import REVIEWED
from pipeline.shard.pictures import outline_paths
from scripts.annotate.errors import AnnotateError, DamagedOutputError
from scripts.annotate.objects import Record, prompt_form
from scripts.annotate.saved.background import BackgroundWriter
from scripts.annotate.saved.masks_files import read_masks, write_masks
from scripts.annotate.shelf import ImageShelf, OpenImage
from serving.storage import Folder

PROMPTS = "prompts.json"
_NOTE = ".annotating.json"  # beside a run's working files, which the next run deletes
_SHOWN_OUTLINES = 100


class AnnotationStore:
    """The annotations in one output; several threads may use it.

    Args:
        output: the folder; the caller has claimed it.
        about: what made the masks, for new masks files: ``checkpoint``, ``precision``, ``device``.
    """

    def __init__(self, output: Folder, about: dict[str, Any]) -> None:
        self.output = output
        self._about = about
        self._lock = threading.RLock()
        self._prompts: dict[str, list[dict[str, Any]]] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._underived = False  # whether the prompts are older than the masks of the note's image
        self._load()
        self._left_undrawn: set[str] = set()  # by a process that was killed
        self._background = BackgroundWriter(output, self._lock, self._forget_note)
        if output.exists(_NOTE):
            self._make_up_for_a_kill()

    def _load(self) -> None:
        try:
            if self.output.exists(PROMPTS):
                self._prompts = dict(read_json(self.output, PROMPTS).items())
        except (ValueError, AttributeError) as error:
            raise DamagedOutputError(
                f"{self.output.uri_of(PROMPTS)}: expected one JSON object"
            ) from error
        try:
            if self.output.exists(REVIEWED):
                for line in self.output.read_bytes(REVIEWED).splitlines():
                    row = orjson.loads(line)
                    self._rows.setdefault(row["image"], []).append(row)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedOutputError(
                f"{self.output.uri_of(REVIEWED)}: expected a JSON object a line, each with an image"
            ) from error

    def _make_up_for_a_kill(self) -> None:
        note = read_json(self.output, _NOTE)
        name = note["image"]
        self._left_undrawn = set(note.get("undrawn", [name]))
        content = read_masks(self.output, name)
        if content is not None:
            self._derive(name, content)
        self._background.changed()

    def draw_what_is_left(self, shelf: ImageShelf) -> None:
        """Draw the pictures that a process owed which was killed, where their images are here."""
        for number, image in enumerate(shelf.images):
            if image.name in self._left_undrawn:
                self._background.redraw(image.name, functools.partial(shelf.get, number))
                self._left_undrawn.discard(image.name)

    def accepted(self, image: str) -> int:
        """How many objects of an image are accepted."""
        return sum(row["verdict"] == "accept" for row in self._rows.get(image, []))

    def categories(self) -> list[str]:
        """The categories so far, the most frequent first."""
        counts: dict[str, int] = {}
        with self._lock:
            for rows in self._rows.values():
                for row in rows:
                    if row.get("category"):
                        counts[row["category"]] = counts.get(row["category"], 0) + 1
        return sorted(counts, key=lambda name: (-counts[name], name))

    def objects(self, image: OpenImage) -> list[Record]:
        """The objects of an image, each with an ``id``.

        Raises:
            AnnotateError: the output holds masks of another image of this name.
        """
        with self._lock:
            content = self._content_of(image)
        return _with_ids(content["masks"]) if content is not None else []

    def put(self, image: OpenImage, record: Record) -> None:
        """Add an object, or replace the one of the same id."""
        with self._lock:
            content = self._content_of(image) or self._new_content(image)
            masks = _with_ids(content["masks"])
            numbers = {mask["id"]: number for number, mask in enumerate(masks)}
            if record["id"] in numbers:
                masks[numbers[record["id"]]] = record
            else:
                masks.append(record)
            self._save(image, content, masks)

    def change(self, image: OpenImage, identifier: str, changes: Record) -> Record:
        """Give an object another category or verdict, and return it.

        Raises:
            AnnotateError: there is no such object.
        """
        with self._lock:
            content = self._content_of(image)
            masks = _with_ids(content["masks"]) if content is not None else []
            for record in masks:
                if content is not None and record["id"] == identifier:
                    record |= {key: value for key, value in changes.items() if value}
                    for key in [key for key, value in changes.items() if not value]:
                        record.pop(key, None)
                    self._save(image, content, masks)
                    return record
        raise AnnotateError(f"{image.name} has no object {identifier}", 404)

    def remove(self, image: OpenImage, identifier: str) -> None:
        """Remove an object; a missing one is no error."""
        with self._lock:
            content = self._content_of(image)
            if content is None:
                return
            masks = _with_ids(content["masks"])
            kept = [record for record in masks if record["id"] != identifier]
            if len(kept) != len(masks):
                self._save(image, content, kept)

    def close(self) -> None:
        """Write what is still to be written.

        Raises:
            StorageError: it cannot be; the next store over this output writes it.
        """
        self._background.close()

    def _content_of(self, image: OpenImage) -> dict[str, Any] | None:
        content = read_masks(self.output, image.name)
        if content is not None and _is_of_another(content, image):
            raise AnnotateError(
                f"{image.name}: the output holds masks of another image of this name, of "
                f"{content['width']} x {content['height']} pixels ({content['source']}); choose "
                "another --output",
                409,
            )
        return content

    def _write_note(self, image: str) -> None:
        undrawn = self._background.undrawn | self._left_undrawn | {image}
        write_json(self.output, _NOTE, {"image": image, "undrawn": sorted(undrawn)})

    def _forget_note(self) -> None:
        if not self._underived and not self._left_undrawn:
            self.output.delete(_NOTE)

    def _new_content(self, image: OpenImage) -> dict[str, Any]:
        source = image.source
        height, width = image.size_hw
        return {
            "fingerprint": uuid.uuid4().hex,  # no run's: nobody can compute these masks again
            "image": image.name,
            "source": source.folder.uri_of(source.file),
            "digest": source.digest or source.folder.digest(source.file),
            "width": width,
            "height": height,
            "mode": "prompted",
            "settings": {},
            **self._about,
            "shard": "",
            "seconds": {},
            "masks": [],
        }

    def _save(self, image: OpenImage, content: dict[str, Any], masks: list[Record]) -> None:
        (width, height), paths = outline_paths(image.pixels, masks, _SHOWN_OUTLINES)  # type: ignore[arg-type]
        content["masks"] = masks
        content["pictures"] = "all"  # as _draw does, whatever a run drew of it
        content["outlines"] = {"width": width, "height": height, "paths": paths}
        self._underived = True
        self._write_note(image.name)
        write_masks(self.output, content)
        self._derive(image.name, content)
        self._underived = False
        self._background.changed(image)

    def _derive(self, image: str, content: dict[str, Any]) -> None:
        """Write the prompts and the verdicts of an image anew, beside those of the others."""
        judged = [(number, mask) for number, mask in enumerate(content["masks"])
                  if "verdict" in mask]  # fmt: skip
        self._rows[image] = [
            {"image": image, "mask": number, "verdict": mask["verdict"]}
            | ({"category": mask["category"]} if mask.get("category") else {})
            | {"fingerprint": content["fingerprint"]}
            for number, mask in judged
        ]
        self._prompts[image] = [
            prompt_form(mask, content["width"], content["height"])
            for _, mask in judged
            if mask["verdict"] == "accept"
        ]
        prompts = {name: forms for name, forms in sorted(self._prompts.items()) if forms}
        text = ",\n".join(f"{json.dumps(name)}: {json.dumps(forms)}"
                          for name, forms in prompts.items())  # fmt: skip
        self.output.write_bytes(PROMPTS, f"{{\n{text}\n}}\n".encode(), "application/json")
        lines = b"".join(
            orjson.dumps(row) + b"\n" for _, rows in sorted(self._rows.items()) for row in rows
        )
        self.output.write_bytes(REVIEWED, lines, "application/jsonl")


def _is_of_another(content: dict[str, Any], image: OpenImage) -> bool:
    """Whether masks are another image's, by its size and by every digest that both tell."""
    height, width = image.size_hw
    if (content["width"], content["height"]) != (width, height):
        return True
    masked = content.get("digest", "")  # of one kind or the other, see Folder.digest
    return any(
        shown != masked and shown.partition(":")[0] == masked.partition(":")[0]
        for shown in (image.digest, image.source.digest)
    )


def _with_ids(masks: list[Record]) -> list[Record]:
    """The records of a masks file, each with an id: its own, or its number in a run's file."""
    return [{"id": f"run-{number}", **mask} for number, mask in enumerate(masks)]
