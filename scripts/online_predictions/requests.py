"""Requests as clients send them: one image, its prompts, and what comes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.terminal.errors import CLOUD, OperatorError
from serving.sam.masks import MaskRecord, decode_mask, mask_area, mask_box_xywh
from serving.sam.prompts import Prompt

TIMEOUT_SECONDS = 600.0


def make_prompts(points: Sequence[str], boxes: Sequence[str]) -> tuple[Prompt, ...]:
    """The prompts of ``--point X,Y[,LABEL]`` and ``--box X0,Y0,X1,Y1``.

    All points belong to one object, together with the box where there is one; several boxes are
    several objects.

    Raises:
        OperatorError: not numbers, or points beside several boxes.
        PromptError: numbers that are no prompt.
    """
    spots = [_numbers(text, (2, 3), "--point X,Y or X,Y,LABEL") for text in points]
    corners = [_numbers(text, (4,), "--box X0,Y0,X1,Y1") for text in boxes]
    if len(corners) > 1 and spots:
        raise OperatorError(
            "points beside several boxes: which object do they belong to?",
            hint="give one box with its points, or boxes alone",
        )
    xy = tuple((spot[0], spot[1]) for spot in spots)
    labels = tuple(int(spot[2]) if len(spot) == 3 else 1 for spot in spots)
    if len(corners) > 1:
        return tuple(Prompt(box_xyxy=_box(box)) for box in corners)
    if not spots and not corners:
        return ()
    box = _box(corners[0]) if corners else None
    return (Prompt(points=xy, labels=labels, box_xyxy=box),)


def _numbers(text: str, counts: tuple[int, ...], expected: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts:
        raise OperatorError(
            f"{text!r}: expected {expected} in pixels", hint="sam-vertex predict --help"
        )
    return numbers


def _box(corners: tuple[float, ...]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = corners
    return x0, y0, x1, y1


def make_instance(
    name: str, data: bytes | None, uri: str, prompts: Sequence[Prompt], *, multimask: bool = False
) -> dict[str, Any]:
    """One instance of a request.

    Args:
        name: the image's name, echoed in the reply.
        data: content of the image file, or ``None`` with ``uri``.
        uri: ``gs://`` object that the server may read.
        prompts: an object each; none for automatic masks.
        multimask: three candidates for each object.
    """
    instance: dict[str, Any] = {"file_path": name}
    if data is None:
        instance["image_uri"] = uri
    else:
        instance["image"] = base64.b64encode(data).decode("ascii")
    if len(prompts) == 1:
        only = prompts[0]
        if only.points:
            instance["input_point"] = [list(point) for point in only.points]
            instance["input_label"] = list(only.labels)
        if only.box_xyxy is not None:
            instance["input_box"] = list(only.box_xyxy)
    elif prompts:
        if any(prompt.points for prompt in prompts):
            instance["input_point"] = [[list(p) for p in prompt.points] for prompt in prompts]
            instance["input_label"] = [list(prompt.labels) for prompt in prompts]
        if all(prompt.box_xyxy is not None for prompt in prompts):
            instance["input_box"] = [list(prompt.box_xyxy or ()) for prompt in prompts]
    if prompts and multimask:
        instance["multimask_output"] = True
    return instance


def records_of(prediction: dict[str, Any], prompts: Sequence[Prompt]) -> list[MaskRecord]:
    """The masks of a prediction in RLE, the best of each object, as records.

    Args:
        prediction: one of a reply's ``predictions``, with ``mask_format`` rle.
        prompts: those of its instance; none for automatic masks.

    Raises:
        OperatorError: the prediction is an error, or of another form.
    """
    if "error" in prediction:
        raise OperatorError(
            str(prediction["error"].get("message", prediction["error"])),
            hint="the message says what to change",
        )
    if not prompts:
        return list(prediction["masks"])
    masks, scores = prediction["masks"], prediction["scores"]
    if scores and not isinstance(scores[0], list):
        masks, scores = [masks], [scores]
    found: list[MaskRecord] = []
    for prompt, group, rated in zip(prompts, masks, scores, strict=True):
        best = max(range(len(rated)), key=lambda index: float(rated[index]))
        rle = {"size": [int(n) for n in group[best]["size"]], "counts": group[best]["counts"]}
        height, width = rle["size"]
        found.append(
            {
                "segmentation": rle,  # type: ignore[typeddict-item]
                "area": mask_area(rle),  # type: ignore[arg-type]
                "bbox": mask_box_xywh(decode_mask(rle)),  # type: ignore[arg-type]
                "predicted_iou": float(rated[best]),
                "point_coords": [list(point) for point in prompt.points],
                "crop_box": [0.0, 0.0, float(width), float(height)],
                "prompt": prompt.to_json(),
            }
        )
    return found


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a request to a model server's address.

    Raises:
        OperatorError: it does not answer, or refuses.
    """
    import requests

    try:
        reply = requests.post(url, json=body, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise OperatorError(
            f"{url} does not answer ({type(error).__name__})",
            hint="start a server here with 'sam-vertex serve', or use --endpoint",
            exit_code=CLOUD,
        ) from error
    return check_reply(reply.status_code, reply.text)


def check_reply(status: int, text: str) -> dict[str, Any]:
    """Return a reply's JSON, or raise what the server says of it.

    Raises:
        OperatorError: any status but 200.
    """
    try:
        content: dict[str, Any] = json.loads(text)
    except ValueError:
        content = {}
    if status == 200 and "predictions" in content:
        return content
    message = text[:500]
    with_error = content.get("error")
    if isinstance(with_error, dict):
        message = str(with_error.get("message", message))
    raise OperatorError(
        f"the server refuses ({status}): {message}",
        hint="the message says what to change" if status < 500 else "try again later",
        exit_code=2 if 400 <= status < 500 and status != 429 else CLOUD,
    )


def innermost_message(text: str) -> str:
    """The model server's own words in an error that the endpoint and the SDK have wrapped."""
    start = text.find("{")
    while start >= 0:
        try:
            content, _ = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            start = text.find("{", start + 1)
            continue
        error = content.get("error") if isinstance(content, dict) else None
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            return innermost_message(error["message"])
        break
    return text


def save_json(path: Path, content: Any) -> None:
    """Write indented JSON.

    Raises:
        OperatorError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error}", hint="choose another place") from error
