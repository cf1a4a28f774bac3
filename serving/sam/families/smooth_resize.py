"""Resizing as scikit-image does it, which MedSAM was trained on; its code is not needed for it.

``skimage.transform.resize(order=3, anti_aliasing=True)`` blurs with a Gaussian where it shrinks,
and reads a cubic B-spline through the blurred pixels, both mirrored at the edges. Each of these is
linear and acts on one axis, so an axis is one matrix, nearly empty far from its diagonal.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_POLE = (
    np.sqrt(3.0) - 2.0
)  # of the filter that makes coefficients of a cubic spline from its values
_FILTER_REACH = 28  # beyond, the filter's weights are below float64's precision
_GAUSSIAN_REACH = 4.0  # standard deviations, ``scipy.ndimage.gaussian_filter``'s default
_ROWS = 64  # of the result at once


def _kernel(shrinking: float) -> Matrix:
    """Weights that make spline coefficients of pixels: the Gaussian and the spline's filter."""
    spline: Matrix = np.sqrt(3.0) * _POLE ** np.abs(np.arange(-_FILTER_REACH, _FILTER_REACH + 1))
    deviation = max(0.0, (shrinking - 1.0) / 2.0)
    reach = int(_GAUSSIAN_REACH * deviation + 0.5)
    if not reach:
        return spline
    gaussian = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return np.asarray(np.convolve(spline, gaussian / gaussian.sum()))


def _mirrored(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Indexes beyond the edges, mirrored at the middle of the outermost pixels."""
    period = max(2 * (size - 1), 1)
    index = np.abs(index) % period
    return np.minimum(index, period - index) if size > 1 else np.zeros_like(index)


@functools.lru_cache(maxsize=2)  # both axes of one size; 74 MB each at 9,000 pixels
def axis_weights(size: int, to: int) -> Matrix:
    """How much of each of ``size`` pixels each of ``to`` pixels reads: (to, size)."""
    position = (np.arange(to) + 0.5) * (size / to) - 0.5
    first = np.floor(position).astype(np.int64) - 1
    taps = first[:, None] + np.arange(4)
    distance = np.abs(position[:, None] - taps)
    shares = np.where(
        distance < 1, (4 - 3 * distance**2 * (2 - distance)) / 6, (2 - distance) ** 3 / 6
    )
    kernel = _kernel(size / to)
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    weights = np.zeros((to, size))
    rows = np.arange(to)[:, None]
    for tap in range(4):
        reads = _mirrored(taps[:, tap, None] + offsets, size)
        np.add.at(weights, (rows, reads), shares[:, tap, None] * kernel)
    return weights


def _along_first_axis(values: NDArray[np.uint8] | Matrix, to: int) -> Matrix:
    """Resize (size, M) to (to, M), some rows at a time, of the pixels that these read."""
    weights = axis_weights(len(values), to)
    result = np.empty((to, values.shape[1]))
    for start in range(0, to, _ROWS):
        block = weights[start : start + _ROWS]
        read = np.flatnonzero(block.any(0))
        part = slice(int(read[0]), int(read[-1]) + 1)
        result[start : start + _ROWS] = block[:, part] @ values[part].astype(np.float64)
    return result


def resize_smoothly(image: NDArray[np.uint8], side: int) -> Matrix:
    """An image as a square, without regard to its proportions.

    Args:
        image: (H, W, C) uint8.
        side: of the square.

    Returns:
        (side, side, C) float64, within the image's own range.
    """
    height, width, channels = image.shape
    rows = _along_first_axis(image.reshape(height, -1), side)
    columns = rows.reshape(side, width, channels).swapaxes(0, 1).reshape(width, -1)
    resized = _along_first_axis(np.ascontiguousarray(columns), side)
    square = resized.reshape(side, side, channels).swapaxes(0, 1)
    return np.clip(square, image.min(), image.max())
