"""How much work each image is, estimated before anybody decodes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from pipeline.ordered_map import ordered_map
from pipeline.run.input_images import InputImage
from serving.sam.images import header_pixels
from serving.storage import StorageError

HEAD_BYTES = 65536
MOST_HEADS = 1000  # of a bucket's images; their density gives the pixels of the others
# The network scales every image to the same size, which costs as much as so many pixels more.
PIXELS_OF_ANY_IMAGE = 1_000_000
_PIXELS_PER_BYTE = 4.0  # of a kind of file without a readable header among the samples


def image_weights(images: Sequence[InputImage]) -> dict[str, float]:
    """Estimate the work of each image, by name, in pixels; a broken image weighs almost nothing.

    On this machine the estimate reads every image's header. In a bucket, where each is a request,
    it reads those of a sample; the density of the sample and an image's bytes give its pixels.
    """
    step = 1
    if images and images[0].folder.readers > 1:
        step = -(-len(images) // MOST_HEADS)
    samples = images[::step]
    readers = samples[0].folder.readers if samples else 1
    names = (image.name for image in samples)
    sampled = dict(zip(names, ordered_map(_pixels, samples, readers), strict=True))
    density = _pixels_per_byte(samples, sampled)
    weights: dict[str, float] = {}
    for image in images:
        pixels = sampled.get(image.name)
        if pixels is None:  # no sample, or a header beyond the first bytes
            pixels = int(image.size_bytes * density.get(_suffix(image), _PIXELS_PER_BYTE))
        weights[image.name] = PIXELS_OF_ANY_IMAGE + pixels
    return weights


def _pixels(image: InputImage) -> int | None:
    try:
        return header_pixels(image.folder.read_head(image.file, HEAD_BYTES))
    except StorageError:
        return 0


def _suffix(image: InputImage) -> str:
    return PurePosixPath(image.file).suffix.lower()


def _pixels_per_byte(
    samples: Sequence[InputImage], sampled: Mapping[str, int | None]
) -> dict[str, float]:
    """The average density of each kind of file among the samples."""
    sums: dict[str, list[float]] = {}
    for image in samples:
        pixels = sampled[image.name]
        if pixels and image.size_bytes:
            total = sums.setdefault(_suffix(image), [0.0, 0.0])
            total[0] += pixels
            total[1] += image.size_bytes
    return {suffix: pixels / size for suffix, (pixels, size) in sums.items()}
