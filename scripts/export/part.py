"""One part of an export while a format writes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO, Any

from scripts.terminal.errors import OperatorError
from serving.storage import Folder

_MOST_LEFT_OUT = 20
LEFT_OUT_HINT = "--image-prefix names the folder where the images are now, such as photos/"


class Numbering:
    """The numbers that annotations, images and categories get across the parts of an export.

    Args:
        categories: known ones, with the ids of their owner; others follow as they appear.
        images: how many have a number already.
        masks: likewise.
    """

    def __init__(self, categories: list[dict[str, Any]], images: int = 0, masks: int = 0) -> None:
        self.categories = [dict(category) for category in categories]
        self.images, self.masks = images, masks
        self._ids = {str(item["name"]): int(item["id"]) for item in categories}
        self._indices = {str(item["name"]): i for i, item in enumerate(categories)}

    def category_id(self, name: str) -> int:
        """The id of a category, from 1 where no owner gave it one."""
        if name not in self._ids:
            self._ids[name] = max(self._ids.values(), default=0) + 1
            self._indices[name] = len(self.categories)
            self.categories.append({"id": self._ids[name], "name": name, "supercategory": ""})
        return self._ids[name]

    def category_index(self, name: str) -> int:
        """The position of a category in the list, from 0, as YOLO numbers classes."""
        self.category_id(name)
        return self._indices[name]

    def next_image(self) -> int:
        """A new image's number, from 1."""
        self.images += 1
        return self.images

    def next_mask(self) -> int:
        """A new annotation's number, from 1."""
        self.masks += 1
        return self.masks


class Part:
    """Where a format writes one part.

    Args:
        target: the folder of the export.
        label: of the part, to put into names: empty where there is one part only.
        numbering: goes on from part to part.
        reviewed: whether a person has accepted the masks.
        folders: the outermost folders in the names of all images; empty for images in none.

    Attributes:
        files: what :meth:`file` and :meth:`write` have written.
        left_out: reasons why images are not in it; then it is written again the next time.
    """

    def __init__(
        self,
        target: Folder,
        label: str,
        numbering: Numbering,
        *,
        reviewed: bool,
        folders: frozenset[str],
    ) -> None:
        self.target, self.label, self.numbering = target, label, numbering
        self.reviewed = reviewed
        self.folders = folders
        self.files: list[str] = []
        self.left_out: list[str] = []

    def leave_out(self, reason: str) -> None:
        """Go on without an image.

        Raises:
            OperatorError: there were too many, so that the next ones are lost time.
        """
        self.left_out.append(reason)
        if len(self.left_out) >= _MOST_LEFT_OUT:
            raise OperatorError(
                f"{len(self.left_out)} images cannot be read, the last one {reason}",
                hint=LEFT_OUT_HINT,
            )

    @contextlib.contextmanager
    def file(self, name: str, content_type: str) -> Iterator[IO[bytes]]:
        """A file of the export that appears only when it is complete.

        Args:
            name: with ``{}`` where the part's label belongs.
            content_type: for a bucket.
        """
        with self.target.writing(name.format(self.label), content_type) as file:
            yield file
        self.files.append(name.format(self.label))

    def write(self, name: str, content: bytes, content_type: str) -> None:
        """Write a short file of the export, of one image; several threads may do so at once."""
        self.target.write_bytes(name, content, content_type)
        self.files.append(name)
