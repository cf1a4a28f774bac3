"""The questions that a release asks a new deployment before it gets all traffic."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import secrets
import time
from collections.abc import Iterator
from typing import Any

from scripts.cloud.prediction_errors import may_pass
from scripts.cloud.vertex_sdk import in_rehearsal
from scripts.releases.errors import release_error
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import Report
from serving.storage import StorageError, open_folder

PATIENCE_SECONDS = 120.0  # with refusals, from the first one on
REQUESTS = 300  # a tenth of the traffic must have reached the new version long before
ANSWER_SECONDS = 120.0  # for longer the SDK wants another package (models.py, predict)
SIDE = 64
NAME = "check.png"


@dataclasses.dataclass(frozen=True, slots=True)
class _Question:
    title: str
    instance: dict[str, Any]
    parameters: dict[str, Any]
    prompted: bool


class Canary:
    """Asks one deployment of an endpoint, which alone decides which deployment answers.

    Args:
        endpoint: an ``aiplatform.Endpoint``.
        id_: the deployment.
        accelerator: whether it must compute on one.
    """

    def __init__(self, endpoint: Any, id_: str, *, accelerator: bool) -> None:
        self._endpoint, self._id, self._accelerator = endpoint, id_, accelerator
        self._refused_since: float | None = None

    def ask(self, image_uri: str) -> str:
        """Ask every question until the deployment has answered it.

        Args:
            image_uri: an image of the bucket that the endpoint may read; empty for none.

        Returns:
            What it answered, for the operator.

        Raises:
            OperatorError: a wrong answer, refusals for too long, or no answer at all.
        """
        notes = [
            self._judge(question, self._answer(question)) for question in _questions(image_uri)
        ]
        return ", ".join(notes)

    def _answer(self, question: _Question) -> Any:
        for _ in range(REQUESTS):
            try:
                reply = self._endpoint.predict(
                    instances=[question.instance],
                    parameters=question.parameters,
                    timeout=ANSWER_SECONDS,
                )
            except Exception as error:
                self._bear(error)
                continue
            if str(reply.deployed_model_id) == self._id:
                return reply
        raise OperatorError(
            f"none of {REQUESTS} requests reached the new version",
            hint="run the same command again",
            exit_code=CLOUD,
        )

    def _bear(self, error: Exception) -> None:
        """Wait a moment after a refusal that may pass; raise any other."""
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        if not may_pass(error) or now - self._refused_since > PATIENCE_SECONDS:
            raise release_error("the check prediction failed", error) from error
        time.sleep(0.1 if in_rehearsal() else 2.0)

    def _judge(self, question: _Question, reply: Any) -> str:
        prediction = reply.predictions[0] if reply.predictions else None
        masks = prediction.get("masks") if isinstance(prediction, dict) else None
        if question.prompted:
            right = bool(masks) and [int(n) for n in (masks or [])[0]["size"]] == [SIDE, SIDE]
        else:
            right = isinstance(masks, list)
        if not right:
            raise OperatorError(
                f"the check prediction {question.title} gave no mask: {str(prediction)[:200]}",
                hint="the old version serves still",
                exit_code=CLOUD,
            )
        told = getattr(reply, "metadata", None) or {}
        device, precision = str(told.get("device", "")), str(told.get("precision", ""))
        if self._accelerator and device.startswith("cpu") and not in_rehearsal():
            raise OperatorError(
                "the new version computes on the CPU of a machine with an accelerator",
                hint="its log in Cloud Logging says why; the old version serves still",
                exit_code=CLOUD,
            )
        return f"{question.title} ({device}, {precision})" if device else question.title


def _questions(image_uri: str) -> Iterator[_Question]:
    image = {"file_path": NAME, "image": base64.b64encode(check_image()).decode("ascii")}
    point = {"input_point": [SIDE // 2, SIDE // 2]}
    rle = {"mask_format": "rle"}
    yield _Question("a point", {**image, **point}, rle, True)
    yield _Question("automatic masks", image, {**rle, "points_per_side": 4}, False)
    if image_uri:
        stored = {"file_path": NAME, "image_uri": image_uri}
        yield _Question("an image of the bucket", {**stored, **point}, rle, True)


@contextlib.contextmanager
def stored_check_image(folders: str, report: Report) -> Iterator[str]:
    """Let the check's image lie where the endpoint may read, while a block runs.

    Args:
        folders: ``gs://`` folders that requests may name, commas between several.
        report: hears why it cannot lie there, as for somebody who may release but not write there.

    Yields:
        Its URI; empty where it lies nowhere.
    """
    where = folders.rpartition(",")[2].strip().rstrip("/")
    if not where:
        yield ""
        return
    name = f"release-check-{secrets.token_hex(4)}.png"  # of this release alone
    try:
        folder = open_folder(where)
        folder.write_bytes(name, check_image(), "image/png")
    except StorageError as error:
        report(f"the check leaves out images of the bucket: {error}")
        yield ""
        return
    try:
        yield folder.uri_of(name)
    finally:
        try:
            folder.delete(name)
        except StorageError as error:
            report(f"the image of the check stays behind: {error}")


def check_image() -> bytes:
    """A disc on a plain ground, 64 x 64, as a PNG."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIDE, SIDE), (230, 230, 225))
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill=(180, 40, 40))
    packed = io.BytesIO()
    image.save(packed, "PNG")
    return packed.getvalue()
