"""The real model server over HTTP gives what the engine gives, whoever asks and how many."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from scipy import ndimage

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.engine import Engine
from serving.sam.images import RgbImage, decode_image
from serving.sam.prompts import Prompt
from tests.serving.conftest import Server, base64_png

POINT = {"file_path": "a.png", "image": base64_png(), "input_point": [80, 95], "input_label": [1]}


def array_of(mask: Any, mask_format: str, height: int = 240, width: int = 320) -> NDArray[np.bool_]:
    if mask_format == "array":
        return np.array(mask, dtype=bool)
    if mask_format == "png":
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(mask))), dtype=bool)
    rle = mask
    if mask_format == "polygon":
        rle = coco.merge(coco.frPyObjects(mask, height, width))
    return np.asarray(coco.decode(rle), dtype=bool)


def expected(engine: Engine, image: RgbImage, prompt: Prompt, multimask: bool = False) -> Any:
    return engine.predict(engine.embed(image), prompt, multimask_output=multimask)


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("mask_format", ["rle", "png", "array", "polygon"])
def test_a_prompt_gives_what_the_engine_gives_in_every_format(
    server: Server, engine: Engine, scene: RgbImage, mask_format: str, multimask: bool
) -> None:
    (prediction,) = server.predict(
        {**POINT, "multimask_output": multimask}, mask_format=mask_format
    )
    reference = expected(engine, scene, Prompt(points=((80, 95),), labels=(1,)), multimask)
    assert set(prediction) == {"file_path", "image_id", "masks", "scores", "logits"}
    assert prediction["file_path"] == "a.png"
    assert prediction["scores"] == pytest.approx(reference.scores.tolist(), abs=1e-6)
    assert len(prediction["masks"]) == (3 if multimask else 1)
    for mask, right in zip(prediction["masks"], reference.masks, strict=True):
        decoded = array_of(mask, mask_format)
        if mask_format == "polygon":  # COCO rasterizes outlines its own way, and fills holes
            right = ndimage.binary_fill_holes(right)
            assert (decoded & right).sum() / (decoded | right).sum() > 0.97
        else:
            assert np.array_equal(decoded, right)
    if mask_format == "array":
        assert np.array(prediction["logits"]) == pytest.approx(reference.logits, abs=1e-4)


def test_several_objects_come_in_one_list_each(
    server: Server, engine: Engine, scene: RgbImage
) -> None:
    boxes = [[30, 45, 130, 145], [174, 34, 273, 121]]
    (prediction,) = server.predict({"image": base64_png(), "input_box": boxes})
    assert [len(group) for group in prediction["masks"]] == [1, 1]
    for box, group in zip(boxes, prediction["masks"], strict=True):
        x0, y0, x1, y1 = map(float, box)
        reference = expected(engine, scene, Prompt(box_xyxy=(x0, y0, x1, y1)))
        assert np.array_equal(array_of(group[0], "rle"), reference.masks[0])
    points = [[[80, 95]], [[220, 80], [10, 10]]]
    (prediction,) = server.predict(
        {"image": base64_png(), "input_point": points, "input_label": [[1], [1, 0]],
         "input_box": boxes}
    )  # fmt: skip
    both = Prompt(points=((220, 80), (10, 10)), labels=(1, 0), box_xyxy=(174, 34, 273, 121))
    assert np.array_equal(
        array_of(prediction["masks"][1][0], "rle"), expected(engine, scene, both).masks[0]
    )


def test_automatic_masks_are_the_engines_with_the_generators_own_keys(
    server: Server, engine: Engine, scene: RgbImage
) -> None:
    settings = AutomaticSettings(
        points_per_side=8, pred_iou_thresh=0.3, stability_score_thresh=0.5, box_nms_thresh=0.6,
        points_per_batch=engine.checkpoint.automatic.points_per_batch,
    )  # fmt: skip
    (prediction,) = server.predict(
        {"file_path": "a.png", "image": base64_png()},
        points_per_side=8, pred_iou_thresh=0.3, stability_score_thresh=0.5, box_nms_thresh=0.6,
    )  # fmt: skip
    reference = json.loads(json.dumps(engine.generate(scene, settings)))
    assert reference
    assert prediction == {"file_path": "a.png", "masks": reference}
    assert set(prediction["masks"][0]) == {
        "segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score",
        "crop_box",
    }  # fmt: skip
    (fewer,) = server.predict(
        {"image": base64_png()}, points_per_side=8, pred_iou_thresh=0.3,
        stability_score_thresh=0.5, box_nms_thresh=0.6, max_masks=1,
    )  # fmt: skip
    assert fewer["masks"] == reference[:1]


@pytest.mark.parametrize("mask_format", ["rle", "array"])
def test_logits_can_be_sent_back(
    server: Server, engine: Engine, scene: RgbImage, mask_format: str
) -> None:
    (first,) = server.predict(POINT, mask_format=mask_format)
    again = {**POINT, "input_point": [[80, 95], [100, 100]], "input_label": [1, 1]}
    (prediction,) = server.predict({**again, "mask_input": first["logits"][0]}, mask_format="rle")
    embedding = engine.embed(scene)
    single = engine.predict(
        embedding, Prompt(points=((80, 95),), labels=(1,)), multimask_output=False
    )
    refined = engine.predict(
        embedding, Prompt(points=((80, 95), (100, 100)), labels=(1, 1)),
        multimask_output=False, mask_input=single.logits,
    )  # fmt: skip
    assert prediction["scores"] == pytest.approx(refined.scores.tolist(), abs=1e-2)
    mask = array_of(prediction["masks"][0], "rle")
    assert (mask & refined.masks[0]).sum() / (mask | refined.masks[0]).sum() > 0.99


def test_a_bad_instance_does_not_lose_the_others_work(server: Server) -> None:
    bad = {"file_path": "bad.png", "image": "AAAA"}
    first, second, third = server.predict(POINT, bad, POINT)
    assert first == third
    assert second["file_path"] == "bad.png"
    assert second["error"]["code"] == 400
    assert "instances[1].image" in second["error"]["message"]
    reply = server.post({"instances": [POINT, bad], "parameters": {"on_error": "fail"}})
    assert reply.status_code == 400
    assert "instances[1]" in reply.json()["error"]["message"]
    reply = server.post({"instances": [bad, bad]})
    assert reply.status_code == 400
    assert "1 more" in reply.json()["error"]["message"]


KINDS = {
    "jpeg.jpg": ("RGB", "JPEG"),
    "webp.webp": ("RGB", "WEBP"),
    "tiff.tif": ("RGB", "TIFF"),
    "bmp.bmp": ("RGB", "BMP"),
    "grey.png": ("L", "PNG"),
    "palette.png": ("P", "PNG"),
    "alpha.png": ("RGBA", "PNG"),
    "cmyk.jpg": ("CMYK", "JPEG"),
    "16 bit.png": ("I;16", "PNG"),
    "animated.webp": ("RGB", "WEBP"),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_image(server: Server, engine: Engine, scene: RgbImage, name: str) -> None:
    mode, kind = KINDS[name]
    packed = io.BytesIO()
    image = Image.fromarray(scene)
    if mode == "I;16":
        grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
        image = Image.fromarray(grey)
    elif mode != "RGB":
        image = image.convert(mode)
    extra = {"save_all": True, "append_images": [Image.new("RGB", image.size)]}
    image.save(packed, kind, **(extra if name.startswith("animated") else {}))
    content = packed.getvalue()
    (prediction,) = server.predict(
        {**POINT, "file_path": name, "image": base64.b64encode(content).decode()}
    )
    pixels = decode_image(content, name)
    reference = expected(engine, pixels, Prompt(points=((80, 95),), labels=(1,)))
    assert np.array_equal(array_of(prediction["masks"][0], "rle"), reference.masks[0])


def test_a_turned_photograph_is_prompted_upright(server: Server, scene: RgbImage) -> None:
    packed = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.rot90(scene, 1))
    turned.save(packed, "PNG", exif=exif)
    image = base64.b64encode(packed.getvalue()).decode()
    (prediction,) = server.predict({**POINT, "image": image})
    (plain,) = server.predict(POINT)
    assert prediction["masks"] == plain["masks"]
    assert prediction["masks"][0]["size"] == [240, 320]


def mixed_requests() -> list[dict[str, Any]]:
    rng = random.Random(1)
    requests = []
    for number in range(48):
        image = base64_png(160 + 16 * (number % 5), 120)
        instance: dict[str, Any] = {"file_path": f"{number}.png", "image": image}
        kind = number % 4
        if kind == 0:
            instance |= {"input_point": [rng.randrange(150), rng.randrange(120)]}
        elif kind == 1:
            instance |= {"input_box": [10, 10, rng.randrange(60, 150), 100]}
        elif kind == 2:
            instance |= {"input_point": [[40, 50], [9, 9]], "input_label": [1, 0]}
            instance |= {"multimask_output": True}
        form = rng.choice(["rle", "png", "polygon"])
        requests.append(
            {"instances": [instance], "parameters": {"mask_format": form, "points_per_side": 4}}
        )
    return requests


def test_sixteen_clients_at_once_get_what_one_after_the_other_gets(server: Server) -> None:
    asked = mixed_requests()
    one_by_one = [server.post(content).json() for content in asked]
    with ThreadPoolExecutor(16) as clients:
        at_once = list(clients.map(lambda content: server.post(content).json(), asked))
    assert at_once == one_by_one
    assert all("predictions" in reply for reply in at_once)


def test_the_second_prompt_on_an_image_finds_its_embedding(server: Server) -> None:
    image = base64_png(200, 200)
    before = server.metrics()
    for point in ([50, 50], [60, 60], [70, 70]):
        server.predict({"image": image, "input_point": point})
    after = server.metrics()
    name = "sam_embedding_cache_{}_total"
    assert after[name.format("misses")] == before[name.format("misses")] + 1
    assert after[name.format("hits")] == before[name.format("hits")] + 2
    assert "cache_hits=" in server.log.read_text()


def test_health_answers_while_a_prediction_runs(server: Server) -> None:
    with ThreadPoolExecutor(1) as client:
        prediction = client.submit(
            server.predict, {"image": base64_png(1000, 800)}, points_per_side=20
        )
        answered = 0
        while not prediction.done():
            began = time.monotonic()
            assert server.health() == 200
            if not prediction.done():
                answered += 1
                # A blocked loop answers when the prediction ends.
                assert time.monotonic() - began < 1
            time.sleep(0.02)
    prediction.result()  # a refusal fails the test instead of letting it wait for ever
    assert answered >= 5


def test_health_and_replies_say_what_computes(server: Server) -> None:
    import requests

    health = requests.get(f"{server.url}/health", timeout=5).json()
    assert health["status"] == "ready"
    reply = server.post({"instances": [POINT]}).json()
    assert reply["metadata"] == {name: value for name, value in health.items() if name != "status"}
    assert reply["metadata"]["device"] == "cpu"
    assert reply["metadata"]["precision"] == "fp32"
    assert reply["metadata"]["checkpoint"] == "vit_tiny"


def test_a_browser_is_told_what_this_is_and_loads_nothing(server: Server) -> None:
    reply = requests.get(f"{server.url}/", timeout=30)
    assert reply.status_code == 200 and reply.headers["Content-Type"].startswith("text/html")
    assert "vit_tiny" in reply.text and f"--url {server.url}/" in reply.text
    assert "default-src 'none'" in reply.text and "://" not in reply.text.replace(server.url, "")
    assert requests.get(f"{server.url}/openapi.json", timeout=30).status_code == 200


def test_an_image_that_was_sent_once_is_named_by_its_id(server: Server) -> None:
    (sent,) = server.predict(POINT)
    named = {"file_path": "a.png", "image_id": sent["image_id"], "input_point": [80, 95]}
    assert server.predict(named) == [sent]
    unknown = server.post({"instances": [{**named, "image_id": "0" * 64}]})
    assert unknown.status_code == 409
    assert unknown.json()["error"]["status"] == "ABORTED"
    good, gone = server.predict(named, {**named, "image_id": "0" * 64})
    assert good["masks"] and gone["error"]["code"] == 409


def test_log_lines_are_json_with_severity_and_trace(server: Server) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    assert server.post({"instances": [POINT]}, headers=headers).status_code == 200
    server.post({"instances": []}, headers={"x-cloud-trace-context": f"{trace}/1;o=1"})
    deadline = time.monotonic() + 10
    ours: list[dict[str, Any]] = []
    while len(ours) < 2 and time.monotonic() < deadline:
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        assert all(line["severity"] in ("INFO", "WARNING", "ERROR") for line in lines)
        ours = [line for line in lines if line.get("logging.googleapis.com/trace") == trace]
    assert [line["status"] for line in ours] == [200, 400]
    assert {line["event"] for line in ours} == {"request"}
    # What Cloud Monitoring's metrics read out of the lines is in them.
    declared = (Path(__file__).parents[2] / "infra" / "log_metrics.py").read_text("utf-8")
    read = set(re.findall(r"jsonPayload\.(\w+)", declared))
    assert {"event", "status", "seconds"} == read <= set(ours[0])
    assert ours[0]["instances"] == 1 and ours[0]["seconds"] >= 0
