"""What follows from masks files and takes longer: the data sets, COCO and Parquet, and pictures.

The data sets read every masks file, so they are written shortly after a change, and seldom where
that takes long. The pictures of an image are drawn when somebody has gone on to another one, so
that drawing them holds up no pointer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from pipeline.report.coco import known_categories
from pipeline.report.data_set import DataSets
from pipeline.run.reviewed import without_rejected
from scripts.annotate.saved.masks_files import masked_images, read_masks
from scripts.annotate.saved.pictures import write_pictures
from scripts.annotate.shelf import OpenImage
from scripts.terminal.progress import report_line
from serving.storage import Folder

_REST = 5.0  # times what writing took, before it is written again
_RETRY_SECONDS = 30.0


class BackgroundWriter:
    """Writes what follows from the masks files of an output, in a thread of its own.

    Args:
        output: the folder.
        lock: whoever holds it changes masks files, and says so with :meth:`changed`.
        up_to_date: called under the lock when data sets and pictures show all that is in the masks
            files.
    """

    def __init__(
        self, output: Folder, lock: AbstractContextManager[bool], up_to_date: Callable[[], None]
    ) -> None:
        self._output, self._lock, self._up_to_date = output, lock, up_to_date
        self._stale = False  # whether the data sets are older than a masks file
        self._undrawn: dict[str, Callable[[], OpenImage]] = {}
        self._in_hand = ""
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="data sets", daemon=True)
        self._thread.start()

    def changed(self, image: OpenImage | None = None) -> None:
        """A masks file has changed: this image's, or one whose pixels are not at hand."""
        self._stale = True
        if image is not None:
            self._undrawn[image.name] = lambda: image
            self._in_hand = image.name
        self._wake.set()

    def redraw(self, name: str, open_image: Callable[[], OpenImage]) -> None:
        """Draw the pictures of an image whose masks an earlier process has changed."""
        self._undrawn.setdefault(name, open_image)
        self._wake.set()

    @property
    def undrawn(self) -> set[str]:
        """The names of the images whose pictures are older than their masks."""
        return set(self._undrawn)

    def close(self) -> None:
        """Write what is still to be written.

        Raises:
            StorageError: it cannot be.
        """
        self._ended.set()
        self._wake.set()
        self._thread.join()
        self._write_data_sets()
        self._draw(list(self._undrawn))

    def _keep_writing(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._ended.is_set():  # close() writes the rest, and raises what goes wrong
                return
            started = time.monotonic()
            rest = 0.0
            try:
                self._write_data_sets()
                self._draw([name for name in list(self._undrawn) if name != self._in_hand])
            except Exception as error:  # a full disk, say; there may be room the next time
                report_line(f"the data sets or pictures are not written yet: {error}")
                self._wake.set()
                rest = _RETRY_SECONDS
            self._ended.wait(max(rest, (time.monotonic() - started) * _REST))

    def _draw(self, names: list[str]) -> None:
        for name in names:
            open_image = self._undrawn[name]
            content = read_masks(self._output, name)
            if content is not None:
                write_pictures(self._output, open_image(), without_rejected(content)["masks"])
            with self._lock:
                if self._undrawn[name] is open_image:  # nobody has changed its masks meanwhile
                    del self._undrawn[name]
        self._tell()

    def _write_data_sets(self) -> None:
        if not self._stale:
            return
        self._stale = False
        try:
            with DataSets(self._output, known_categories(self._output)) as data_sets:
                for content in self._contents():
                    data_sets.add(content)
                data_sets.close()
        except BaseException:
            self._stale = True
            raise
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            if not self._stale and not self._undrawn:
                self._up_to_date()

    def _contents(self) -> Iterator[dict[str, Any]]:
        """The masks of all images that are not rejected, image by image."""
        for name in sorted(masked_images(self._output)):
            content = read_masks(self._output, name)
            if content is not None:
                yield without_rejected(content)
