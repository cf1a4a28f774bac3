"""The images that the page looks at, decoded: the present one and its neighbours."""

from __future__ import annotations

import dataclasses
import io
import threading
from collections import OrderedDict
from collections.abc import Sequence

from PIL import Image

from pipeline.run.input_images import InputImage
from pipeline.shard.pictures import fit_inside
from serving.sam.images import RgbImage, decode_image
from serving.storage.checksums import md5_of_bytes

_KEPT_PIXELS = 100_000_000  # 300 MB
_PICTURE_SIDE = 4096
_QUALITY = 90


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class OpenImage:
    """A decoded image.

    Attributes:
        name: its name in the output.
        digest: of the content, which tells one image from another of the same name.
        data: content of its file.
        pixels: (H, W, 3) uint8 RGB.
        source: the input image.
    """

    name: str
    digest: str
    data: bytes
    pixels: RgbImage
    source: InputImage

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def picture(self) -> bytes:
        """The upright image as a JPEG file of at most 4096 pixels a side, for a browser."""
        buffer = io.BytesIO()
        image = Image.fromarray(fit_inside(self.pixels, _PICTURE_SIDE))
        image.save(buffer, "JPEG", quality=_QUALITY)
        return buffer.getvalue()


class ImageShelf:
    """Decodes images and keeps the last ones; the page names an image by its number only.

    Args:
        images: all images of the input. Nothing else can be read through the shelf.
    """

    def __init__(self, images: Sequence[InputImage]) -> None:
        self.images = images
        self._open: OrderedDict[int, OpenImage] = OrderedDict()
        self._lock = threading.Lock()

    def kept(self, number: int) -> OpenImage | None:
        """Return an image that is decoded already."""
        with self._lock:
            kept = self._open.get(number)
            if kept is not None:
                self._open.move_to_end(number)
            return kept

    def get(self, number: int) -> OpenImage:
        """Return an image, decoded here where it is not yet.

        Raises:
            ImageError: it cannot be decoded.
            StorageError: it cannot be read.
        """
        kept = self.kept(number)
        if kept is not None:
            return kept
        image = self.images[number]
        data = image.folder.read_bytes(image.file)
        pixels = decode_image(data, image.name)
        opened = OpenImage(image.name, md5_of_bytes(data), data, pixels, image)
        with self._lock:
            self._open[number] = opened
            while len(self._open) > 1 and self._pixels() > _KEPT_PIXELS:
                self._open.popitem(last=False)
        return opened

    def _pixels(self) -> int:
        return sum(image.pixels.size // 3 for image in self._open.values())
