"""No request, however wrong, gets anything but a 4xx that says where and what to do."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from tests.serving.conftest import Server, base64_png

IMAGE = base64_png(64, 48)
JPEG = io.BytesIO()
Image.new("RGB", (64, 48), "red").save(JPEG, "JPEG")
ZEROS = base64.b64encode(bytes(2 * 128 * 128)).decode()
LOGITS = {"dtype": "float16", "shape": [1, 128, 128], "data": ZEROS}
NAN, INFINITY = float("nan"), 1e999


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def bomb() -> str:
    """A PNG whose header announces 20000 x 20000 pixels."""
    packed = io.BytesIO()
    Image.new("1", (1, 1)).save(packed, "PNG")
    data = bytearray(packed.getvalue())
    data[16:24] = (20000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return encoded(bytes(data))


def body(**changes: Any) -> dict[str, Any]:
    return {"instances": [{"file_path": "a.png", "image": IMAGE, **changes}]}


def without_image(**changes: Any) -> dict[str, Any]:
    return {"instances": [{"file_path": "a.png", **changes}]}


def parameters(**values: Any) -> dict[str, Any]:
    return {**body(input_point=[10, 10]), "parameters": values}


# name: (content, what the message must contain)
TABLE: dict[str, tuple[Any, str]] = {
    "a list": ([1], "instances"),
    "a string": ("abc", "instances"),
    "a number": (5, "instances"),
    "null": (None, "instances"),
    "nothing in it": ({}, "instances"),
    "image_id of another form": (
        without_image(image_id="../a", input_point=[1, 1]),
        "image_id of an earlier reply",
    ),
    "image_id and image": (body(image_id="0" * 64, input_point=[1, 1]), "exactly one of"),
    "image_id without prompt": (without_image(image_id="0" * 64), "only with a prompt"),
    "crops without points": (
        parameters(crop_n_layers=1, crop_n_points_downscale_factor=64),
        "crop layer 1 no points",
    ),
    "instances is null": ({"instances": None}, "instances"),
    "instances is an object": ({"instances": {"image": IMAGE}}, "instances"),
    "no instances": ({"instances": []}, "at least one"),
    "too many instances": ({"instances": [{}] * 65}, "limit of 64"),
    "unknown key": ({**body(), "extra": 1}, "extra"),
    "instance is a string": ({"instances": ["a.png"]}, "instances[0]"),
    "instance is null": ({"instances": [None]}, "instances[0]"),
    "instance is a list": ({"instances": [[]]}, "instances[0]"),
    "unknown instance key": (body(points=[1, 2]), "'points'"),
    "no image": (without_image(), "image_uri"),
    "image and uri": (body(image_uri="gs://b/a.png"), "exactly one"),
    "image is a number": (without_image(image=5), "base64"),
    "image is a list": (without_image(image=[1, 2]), "base64"),
    "image is empty": (without_image(image=""), "empty"),
    "broken base64": (without_image(image="!!!!"), "not base64"),
    "base64 cut off": (without_image(image=IMAGE[:-3]), "not base64"),
    "data url": (without_image(image="data:image/png;base64," + IMAGE), "data:"),
    "base64 with line breaks": (without_image(image=IMAGE[:40] + "\n" + IMAGE[40:]), "base64"),
    "not an image": (without_image(image=encoded(b"hello, world")), "image"),
    "html": (without_image(image=encoded(b"<!DOCTYPE html><html>404</html>")), "HTML"),
    "truncated jpeg": (without_image(image=encoded(JPEG.getvalue()[:200])), "damaged"),
    "truncated png": (without_image(image=encoded(base64.b64decode(IMAGE)[:300])), "damaged"),
    "only a header": (without_image(image=encoded(base64.b64decode(IMAGE)[:12])), "instances[0]"),
    "decompression bomb": (without_image(image=bomb()), "pixels"),
    "gif": (without_image(image=encoded(b"GIF89a" + b"\0" * 40)), "supported"),
    "uri without access": (without_image(image_uri="gs://bucket/a.png"), "SERVING_READ_PREFIXES"),
    "uri is a number": (without_image(image_uri=7), "gs://"),
    "uri of the web": (without_image(image_uri="http://169.254.169.254/"), "gs://"),
    "uri of a file": (without_image(image_uri="file:///etc/passwd"), "gs://"),
    "uri that climbs": (without_image(image_uri="gs://b/../c"), "gs://"),
    "absolute name": (body(file_path="/etc/passwd"), "file_path"),
    "climbing name": (body(file_path="../../a.png"), "file_path"),
    "windows name": (body(file_path="..\\a.png"), "file_path"),
    "home name": (body(file_path="~/a.png"), "file_path"),
    "name with zero byte": (body(file_path="a\0.png"), "file_path"),
    "name is a number": (body(file_path=3), "file_path"),
    "long name": (body(file_path="a" * 600), "512"),
    "point is a number": (body(input_point=5), "input_point"),
    "point is a string": (body(input_point="10,10"), "input_point"),
    "point is an object": (body(input_point={"x": 1, "y": 2}), "input_point"),
    "no points": (body(input_point=[]), "input_point"),
    "point of one": (body(input_point=[1]), "input_point"),
    "point of three": (body(input_point=[1, 2, 3]), "input_point"),
    "point of strings": (body(input_point=["1", "2"]), "input_point"),
    "point of booleans": (body(input_point=[True, False]), "input_point"),
    "point of nulls": (body(input_point=[None, None]), "input_point"),
    "point outside": (body(input_point=[64, 10]), "64 x 48"),
    "negative point": (body(input_point=[-1, 10]), "64 x 48"),
    "huge point": (body(input_point=[1e300, 10]), "input_point"),
    "mixed points": (body(input_point=[[1, 2], 3]), "input_point"),
    "points nested too deeply": (body(input_point=[[[[1, 2]]]]), "input_point"),
    "two points, one label": (body(input_point=[[1, 2], [3, 4]], input_label=[1]), "label"),
    "label of two": (body(input_point=[1, 2], input_label=[2]), "input_label"),
    "label is a string": (body(input_point=[1, 2], input_label="1"), "input_label"),
    "label true": (body(input_point=[1, 2], input_label=[True]), "input_label"),
    "labels alone": (body(input_label=[1]), "input_label"),
    "only background": (body(input_point=[1, 2], input_label=[0]), "foreground"),
    "too many points": (body(input_point=[[1, 2]] * 1001), "1000"),
    "box of three": (body(input_box=[1, 2, 3]), "input_box"),
    "box turned round": (body(input_box=[30, 30, 10, 10]), "x0 < x1"),
    "box without area": (body(input_box=[10, 10, 10, 20]), "x0 < x1"),
    "box outside": (body(input_box=[10, 10, 640, 40]), "64 x 48"),
    "box is a string": (body(input_box="all"), "input_box"),
    "no boxes": (body(input_box=[]), "input_box"),
    "too many boxes": (body(input_box=[[1, 2, 3, 4]] * 257), "limit of 256"),
    "boxes and points do not match": (
        body(input_box=[[1, 1, 9, 9]] * 3, input_point=[[[1, 1]], [[2, 2]]]), "objects"),
    "multimask is a string": (body(input_point=[1, 2], multimask_output="yes"), "multimask_output"),
    "multimask without prompt": (body(multimask_output=True), "prompt"),
    "logits without prompt": (body(mask_input=LOGITS), "prompt"),
    "logits is a string": (body(input_point=[1, 2], mask_input="x"), "mask_input"),
    "logits too short": (body(input_point=[1, 2], mask_input={**LOGITS, "data": "AAAA"}), "bytes"),
    "logits of another size": (
        body(input_point=[1, 2], mask_input=[[0.0] * 16] * 16), "mask_input"),
    "logits of objects": (
        body(input_point=[1, 2], mask_input={**LOGITS, "dtype": "object"}), "dtype"),
    "logits of enormous shape": (
        body(input_point=[1, 2], mask_input={**LOGITS, "shape": [1, 10**9, 10**9]}), "shape"),
    "ragged logits": (body(input_point=[1, 2], mask_input=[[1, 2], [3]]), "mask_input"),
    "parameters is a list": ({**body(), "parameters": [1]}, "parameters"),
    "unknown parameter": (parameters(points_per_sid=3), "points_per_sid"),
    "unknown format": (parameters(mask_format="bitmap"), "mask_format"),
    "format is a list": (parameters(mask_format=["rle"]), "mask_format"),
    "max_masks zero": (parameters(max_masks=0), "max_masks"),
    "max_masks a float": (parameters(max_masks=1.5), "max_masks"),
    "points_per_side huge": (parameters(points_per_side=100_000), "points_per_side"),
    "points_per_side a string": (parameters(points_per_side="32"), "points_per_side"),
    "threshold above one": (parameters(pred_iou_thresh=1.5), "pred_iou_thresh"),
    "threshold null": (parameters(box_nms_thresh=None), "box_nms_thresh"),
    "crop layers": (parameters(crop_n_layers=9), "crop_n_layers"),
    "grids of words": (parameters(point_grids=[["a"]]), "point_grids"),
    "grid outside": (parameters(point_grids=[[[2, 2]]]), "point_grids"),
    "on_error": (parameters(on_error="ignore"), "on_error"),
    "logits flag": (parameters(return_logits=1), "return_logits"),
    "output without access": (parameters(output_uri="gs://b/out"), "SERVING_WRITE_PREFIXES"),
    "output is a number": (parameters(output_uri=5), "output_uri"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_a_wrong_request_is_told_what_is_wrong(server: Server, name: str) -> None:
    content, expected = TABLE[name]
    reply = server.post(data=json.dumps(content), headers={"Content-Type": "application/json"})
    assert 400 <= reply.status_code < 500, reply.text
    error = reply.json()["error"]
    assert error["code"] == reply.status_code
    assert expected in error["message"]
    assert "Traceback" not in reply.text
    assert "serving/" not in reply.text


def test_there_are_enough_of_them() -> None:
    assert len(TABLE) >= 60


BODIES: dict[str, tuple[bytes, str, str, int]] = {
    "empty": (b"", "application/json", "empty", 400),
    "no json": (b"instances", "application/json", "JSON", 400),
    "json cut off": (b'{"instances": [', "application/json", "JSON", 400),
    "bad utf-8": (b'{"instances": ["\xff\xfe"]}', "application/json", "JSON", 400),
    "nan": (json.dumps(body(input_point=[NAN, 1])).encode(), "application/json", "JSON", 400),
    "infinity": (
        json.dumps(body(input_point=[1, INFINITY])).encode(), "application/json", "JSON", 400),
    "long integer": (
        b'{"instances": [{"image": "", "input_point": [1' + b"0" * 500 + b", 2]}]}",
        "application/json", "JSON", 400),
    "deep": (b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}", "application/json", "JSON", 400),
    "deep but allowed": (
        b'{"instances": [{"image": "AAAA", "input_point": ' + b"[" * 900 + b"]" * 900 + b"}]}",
        "application/json", "input_point", 400),
    "a form": (b"image=abc", "application/x-www-form-urlencoded", "Content-Type", 415),
    "an image": (JPEG.getvalue(), "image/jpeg", "Content-Type", 415),
    "no content type": (b"{}", "", "Content-Type", 415),
    "too long": (b'["' + b"a" * 10_000_001 + b'"]', "application/json", "limit", 413),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_the_reply_to_a_wrong_body_names_the_fault(server: Server, name: str) -> None:
    body, kind, expected, status = BODIES[name]
    reply = server.post(data=body, headers={"Content-Type": kind})
    assert reply.status_code == status, reply.text
    assert expected in reply.json()["error"]["message"]


def test_a_body_without_declared_length_is_cut_off_at_the_limit(server: Server) -> None:
    chunks = (b"a" * 1_000_000 for _ in range(12))
    reply = server.post(data=chunks, headers={"Content-Type": "application/json"})
    assert reply.status_code == 413


def test_the_server_is_right_after_all_that(server: Server) -> None:
    before = server.predict(body(input_point=[20, 20])["instances"][0])
    for content, _ in list(TABLE.values())[::5]:
        server.post(data=json.dumps(content), headers={"Content-Type": "application/json"})
    assert server.predict(body(input_point=[20, 20])["instances"][0]) == before
    assert server.health() == 200
    assert server.metrics().get('sam_replies_total{code="500"}', 0) == 0
