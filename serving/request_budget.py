"""What a request may cost in memory, counted before it is spent: pixels decoded, bytes written."""

from __future__ import annotations

import threading

from serving.errors import RequestError
from serving.parameters import Parameters
from serving.settings import ServingSettings

_ARRAY_PIXEL_BYTES = 5.5  # "true," or "false,"
_ARRAY_LOGIT_BYTES = 20.0  # "-12.345678329467773,"
_COMPACT_LOGIT_BYTES = 2 * 4 / 3  # float16 in base64


def foreseen_bytes(
    parameters: Parameters, masks: int, pixels: int, *, prompted: bool, logits_side: int
) -> int:
    """How many bytes masks take as JSON, as far as their size does not depend on their content.

    Args:
        parameters: of the request.
        masks: how many.
        pixels: of each.
        prompted: whether they have logits.
        logits_side: width of the logits.
    """
    as_arrays = parameters.mask_format == "array"
    each = pixels * _ARRAY_PIXEL_BYTES if as_arrays else 0.0
    if prompted and parameters.return_logits:
        each += logits_side**2 * (_ARRAY_LOGIT_BYTES if as_arrays else _COMPACT_LOGIT_BYTES)
    return int(masks * each)


class RequestBudget:
    """The pixels and bytes that a request has left.

    Args:
        limits: of this server.
        parameters: of the request.
    """

    def __init__(self, limits: ServingSettings, parameters: Parameters) -> None:
        self._parameters = parameters
        self._pixels_limit = limits.max_request_pixels
        self._pixels = 0
        self._bytes_limit = limits.largest_reply_bytes
        self._place = "this endpoint's"
        if parameters.output_uri:
            self._bytes_limit, self._place = limits.max_output_bytes, "the limit of an output_uri,"
        self._bytes = 0
        self._lock = threading.Lock()

    def take_pixels(self, field: str, pixels: int) -> None:
        """Count an image that is about to be decoded.

        Raises:
            RequestError: 413, the request's images have more pixels together than it may have.
        """
        with self._lock:
            if self._pixels + pixels > self._pixels_limit:
                raise RequestError(
                    f"{field}: with this image of {pixels} pixels the request has "
                    f"{self._pixels + pixels}, more than the limit of {self._pixels_limit} pixels; "
                    "send it in another request, or scale it down",
                    413,
                )
            self._pixels += pixels

    def take_masks(self, field: str, masks: int, pixels: int, logits_side: int = 0) -> None:
        """Count masks that are about to be computed or written.

        Args:
            field: where their instance stands in the request, for messages.
            masks: how many.
            pixels: of each.
            logits_side: width of their logits; 0 where they have none.

        Raises:
            RequestError: 422, the masks of the request would take more bytes than it may have.
        """
        expected = foreseen_bytes(
            self._parameters, masks, pixels, prompted=logits_side > 0, logits_side=logits_side
        )
        with self._lock:
            if self._bytes + expected > self._bytes_limit:
                raise RequestError(
                    f"{field}: {masks} mask(s) of {pixels} pixels as "
                    f"{self._form(logits_side)} are about {expected} bytes; with them the request "
                    f"has {self._bytes + expected}, more than {self._place} {self._bytes_limit}; "
                    f"{self._way_out(logits_side)}",
                    422,
                )
            self._bytes += expected

    def _form(self, logits_side: int) -> str:
        form = "nested lists" if self._parameters.mask_format == "array" else "JSON"
        with_logits = logits_side and self._parameters.return_logits
        return f"{form} with logits" if with_logits else form

    def _way_out(self, logits_side: int) -> str:
        ways = []
        if self._parameters.mask_format == "array":
            ways.append('ask for "mask_format": "rle"')
        if logits_side and self._parameters.return_logits:
            ways.append('set "return_logits": false')
        ways.append("ask for fewer masks in a request")
        if not self._parameters.output_uri:
            ways.append("or name an output_uri")
        return ", ".join(ways)
