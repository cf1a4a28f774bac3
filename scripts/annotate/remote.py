"""Masks from a model server: one that somebody serves, or the deployed endpoint."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.shard.pictures import fit_inside
from scripts.annotate.segmenters import Candidate, fit_frame, is_ambiguous, scaled
from scripts.annotate.shelf import OpenImage
from scripts.online_predictions.replies import mask_records
from scripts.online_predictions.requests import RequestedImage, make_request
from scripts.terminal.errors import CLOUD, OperatorError
from serving.sam.masks import MaskRecord, decode_mask, encode_mask, mask_area, mask_box_xywh
from serving.sam.prompts import Prompt

_MOST_BYTES = 1_000_000  # in base64 below the 1.5 MB that a shared endpoint takes
_SENT_SIDE = 1024  # SAM's own frame, so a larger picture tells the network nothing more
_QUALITY = 92
_NOT_KEPT = 409
_MOST_SENT = 16  # images at hand as they are sent


class _ImageNotKeptError(Exception):
    """The server no longer has an image."""


class ServerSegmenter:
    """A model server.

    It gets the image with the first request, and again when it no longer has it; the others name
    it by the ``image_id`` of a reply. An image that is too large to be sent often is sent as the
    network sees it, 1024 pixels at most, and its masks are scaled up.

    Args:
        name: what to call the server.
        ask: sends a request's body and returns the reply.
    """

    def __init__(self, name: str, ask: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.name = name
        self._ask = ask
        self._sent: dict[str, tuple[RequestedImage, tuple[int, int]]] = {}
        self._ids: dict[str, str] = {}  # by the image's digest; of images that the server has
        self._lock = threading.Lock()

    def prepare(self, image: OpenImage) -> None:
        """Let the server embed the image, by a prompt whose answer nobody needs."""
        if not self.is_prepared(image):
            height, width = image.size_hw
            self.candidates(image, Prompt(points=((width / 2, height / 2),), labels=(1,)), 0)
            self._ids.setdefault(image.digest, "")

    def is_prepared(self, image: OpenImage) -> bool:
        """Whether the server has been asked about the image."""
        return image.digest in self._ids

    def candidates(self, image: OpenImage, prompt: Prompt, longest: int) -> list[Candidate]:
        """Ask for the masks of a prompt.

        Raises:
            OperatorError: the server does not answer, or refuses.
        """
        height, width = image.size_hw
        prompt.check_inside(width, height, "prompt")
        requested, sent_hw = self._request(image)
        asked = scaled(prompt, image.size_hw, sent_hw)
        body = make_request(requested, [asked], multimask=is_ambiguous(prompt))
        prediction = self._prompted(image, body)
        frame = fit_frame(image.size_hw, longest)
        try:
            return [
                Candidate(_resized(decode_mask(rle), frame), float(score), 0.0)
                for rle, score in zip(prediction["masks"], prediction["scores"], strict=True)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise _unexpected(self.name) from error

    def everything(self, image: OpenImage) -> list[MaskRecord]:
        """Ask for automatic masks.

        Raises:
            OperatorError: the server does not answer, or refuses.
        """
        requested, sent_hw = self._request(image)
        records = mask_records(self._prediction(make_request(requested, [])), [])
        if sent_hw == image.size_hw:
            return records
        return [_enlarged(record, image.size_hw) for record in records]

    def _prompted(self, image: OpenImage, body: dict[str, Any]) -> dict[str, Any]:
        """The prediction of a prompt, without sending the image where the server has it."""
        body["parameters"] |= {"return_logits": False, "on_error": "each"}
        known = self._ids.get(image.digest)
        if known:
            (instance,) = body["instances"]
            short = {key: value for key, value in instance.items() if key != "image"}
            short["image_id"] = known
            try:
                return self._prediction({**body, "instances": [short]})
            except _ImageNotKeptError:
                self._ids.pop(image.digest, None)
        prediction = self._prediction(body)
        self._ids[image.digest] = str(prediction.get("image_id", ""))
        return prediction

    def _prediction(self, body: dict[str, Any]) -> dict[str, Any]:
        reply = self._ask(body)
        try:
            prediction: dict[str, Any] = reply["predictions"][0]
            if "error" not in prediction:
                return prediction
            if prediction["error"].get("code") == _NOT_KEPT:
                raise _ImageNotKeptError
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise _unexpected(self.name) from error
        mask_records(prediction, [])  # raises the error as the server puts it
        raise _unexpected(self.name)

    def _request(self, image: OpenImage) -> tuple[RequestedImage, tuple[int, int]]:
        """The image as it is sent, always the same bytes, and the size that the server sees."""
        with self._lock:
            if image.digest not in self._sent:
                data, size_hw = image.data, image.size_hw
                if len(data) > _MOST_BYTES:
                    small = fit_inside(image.pixels, _SENT_SIDE)
                    buffer = io.BytesIO()
                    Image.fromarray(small).save(buffer, "JPEG", quality=_QUALITY)
                    data, size_hw = buffer.getvalue(), (small.shape[0], small.shape[1])
                self._sent[image.digest] = RequestedImage(name=image.name, data=data), size_hw
                if len(self._sent) > _MOST_SENT:
                    del self._sent[next(iter(self._sent))]
            return self._sent[image.digest]


def _resized(mask: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    if mask.shape == size_hw:
        return mask
    shape = (size_hw[1], size_hw[0])
    resized = cv2.resize(mask.astype(np.uint8) * 255, shape, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized > 127)


def _enlarged(record: MaskRecord, size_hw: tuple[int, int]) -> MaskRecord:
    """A record of the picture that was sent as one of the image itself."""
    mask = _resized(decode_mask(record["segmentation"]), size_hw)
    segmentation = encode_mask(mask)
    return {
        **record,
        "segmentation": segmentation,
        "area": mask_area(segmentation),
        "bbox": mask_box_xywh(mask),
    }


def _unexpected(name: str) -> OperatorError:
    return OperatorError(
        f"{name} answers in another form than this project's model server",
        hint="give the address of 'sam-vertex serve' or of a container of this project",
        exit_code=CLOUD,
    )
