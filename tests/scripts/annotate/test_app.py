"""The server without its page: who may ask, what it refuses, what it saves."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from fastapi.testclient import TestClient
from pycocotools.coco import COCO

from scripts.annotate.segmenters import LocalSegmenter, Segmenter
from scripts.annotate.shelf import OpenImage
from serving.sam.engine import Engine
from serving.sam.masks import decode_mask
from serving.sam.prompts import parse_prompt
from tests.scripts.annotate.conftest import Serve, Served

APPLE = {"points": [[80, 100]], "labels": [1]}
BODY = {"prompt": APPLE, "candidate": 2, "category": "apple"}


@pytest.fixture
def client(served: Served) -> TestClient:
    """Asks as the page does."""
    base = served.address.rstrip("/")
    return TestClient(served.app, base_url=base, headers={"Origin": base})


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Host": "evil.example"}, "only"),
        ({"Host": "evil.example:{port}"}, "only"),
        ({"Origin": "http://evil.example"}, "own page"),
        ({"Origin": "null"}, "own page"),
        ({"Sec-Fetch-Site": "cross-site"}, "own page"),
    ],
)
def test_strangers_are_refused(
    served: Served, client: TestClient, headers: dict[str, str], reason: str
) -> None:
    sent = {name: value.format(port=served.port) for name, value in headers.items()}
    for address in ("/", "/api/session", "/api/images/0/picture"):
        reply = client.get(address, headers=sent)
        assert reply.status_code == 403 and reason in reply.text
    reply = client.put("/api/images/0/objects/x", headers=sent, json=BODY)
    assert reply.status_code == 403
    assert not (served.output / "masks").exists()


def test_a_change_says_where_it_comes_from(served: Served) -> None:
    client = TestClient(served.app, base_url=served.address.rstrip("/"))
    assert client.get("/api/session").status_code == 200
    assert client.delete("/api/images/0/objects/x").status_code == 403


def test_with_a_token_nothing_is_answered_without_it(serve: Serve) -> None:
    served = serve(token="s3cret")
    base = "http://workbench.example"
    client = TestClient(served.app, base_url=base, headers={"Origin": base})
    assert client.get("/api/session").status_code == 403
    assert client.get("/?token=wrong", follow_redirects=False).status_code == 403
    reply = client.get("/?token=s3cret", follow_redirects=False)
    assert reply.status_code == 200 and "s3cret" not in reply.text
    assert {"HttpOnly", "SameSite=strict"} <= set(reply.headers["set-cookie"].split("; "))
    assert client.get("/api/session").status_code == 200
    assert client.get("/api/session", headers={"Origin": "http://evil.example"}).status_code == 403


def test_page_may_load_nothing_from_elsewhere(client: TestClient) -> None:
    reply = client.get("/")
    assert "default-src 'self'" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "style=" not in reply.text and "http:" not in reply.text.replace("http://www.w3", "")


@pytest.mark.parametrize(
    "address",
    [
        "/page/..%2fapp.py",
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/jsconfig.json",
        "/api/images/3",
        "/api/images/-1",
        "/api/images/..%2f..%2fsecret.png/picture",
    ],
)
def test_only_the_page_and_the_images_can_be_read(client: TestClient, address: str) -> None:
    assert client.get(address).status_code in (404, 405)


def test_candidates_are_those_of_the_engine(client: TestClient, segmenter: Segmenter) -> None:
    reply = client.post("/api/images/0/candidates", json={"prompt": APPLE}).json()
    assert reply["frame"] == [240, 320]
    assert len(reply["candidates"]) == 3
    best = max(reply["candidates"], key=lambda one: one["score"])
    mask = decode_mask(best["segmentation"])
    assert mask[100, 80] and 6000 < mask.sum() < 9000
    boxed = {"prompt": {"box": [170, 30, 275, 122]}}
    assert len(client.post("/api/images/0/candidates", json=boxed).json()["candidates"]) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": {"points": [[400, 10]], "labels": [1]}}, "lies outside"),
        ({"prompt": {"points": [[4, 10]], "labels": [0]}}, "background"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": APPLE, "candidate": 3}, "candidate"),
        ({"prompt": APPLE, "verdict": "maybe"}, "verdict"),
        ({"prompt": APPLE, "category": "a\u202eb"}, "category"),
        ({"prompt": APPLE, "category": "a" * 101}, "category"),
        ({"segmentation": {"size": [1, 1], "counts": "1"}}, "segmentation"),
        ({"strokes": [{"mode": "remove", "radius": 4, "points": [[9, 9]]}]}, "empty"),
        ({}, "empty"),
    ],
)
def test_an_object_that_cannot_be_is_refused_and_nothing_is_written(
    served: Served, client: TestClient, body: Any, message: str
) -> None:
    reply = client.put("/api/images/0/objects/x", json=body)
    assert reply.status_code == 422 and message in reply.json()["error"]
    assert not (served.output / "prompts.json").exists()


def test_body_that_is_no_json_or_too_long_is_refused(client: TestClient) -> None:
    address = "/api/images/0/objects/x"
    assert client.put(address, content=b"{").status_code == 400
    assert client.put(address, content=b"[1]").status_code == 400
    assert client.put(address, content=b" " * (9 << 20)).status_code == 413
    assert client.put("/api/images/0/objects/a%20b", json=BODY).status_code == 422


def test_accepted_objects_are_prompts_masks_verdicts_and_coco(
    served: Served, client: TestClient
) -> None:
    assert client.put("/api/images/0/objects/x", json=BODY).status_code == 200
    box = {"prompt": {"box": [170, 30, 275, 122]}, "category": "book"}
    for _ in range(2):  # sending it again changes nothing
        assert client.put("/api/images/0/objects/y", json=box).status_code == 200
    client.put("/api/images/1/objects/z", json={**BODY, "prompt": {"points": [[60, 130]]}})
    prompts = served.read("prompts.json")
    assert prompts["a.png"] == [
        {**APPLE, "points": [[80.0, 100.0]], "category": "apple"},
        {"box": [170.0, 30.0, 275.0, 122.0], "category": "book"},
    ]
    content = served.read("masks/a.png.json")
    assert (content["width"], content["height"], content["mode"]) == (320, 240, "prompted")
    assert [mask["category"] for mask in content["masks"]] == ["apple", "book"]
    assert [row["verdict"] for row in served.rows()] == ["accept"] * 3
    served.store.close()
    coco = COCO(str(served.output / "annotations.json"))
    assert len(coco.getImgIds()) == 2 and len(coco.getAnnIds()) == 3
    assert coco.annToMask(coco.loadAnns([1])[0])[100, 80] == 1


def test_an_object_without_a_prompt_is_its_box_in_the_prompts(
    served: Served, client: TestClient
) -> None:
    found = client.post("/api/images/2/everything").json()["objects"]
    assert found and "verdict" not in found[0]
    body = {"segmentation": found[0]["segmentation"], "scores": found[0], "category": "thing"}
    client.put("/api/images/2/objects/k", json=body)
    (form,) = served.read("prompts.json")["c.png"]
    x0, y0, x1, y1 = form["box"]
    mask = decode_mask(found[0]["segmentation"])
    assert mask[:, int(x0)].any() and mask[:, int(x1) - 1].any()
    assert mask[int(y0)].any() and mask[int(y1) - 1].any()
    parse_prompt({"box": form["box"]}, "box").check_inside(160, 160, "box")
    (record,) = served.read("masks/c.png.json")["masks"]
    assert record["predicted_iou"] == pytest.approx(found[0]["predicted_iou"])


def test_strokes_are_kept_and_change_the_mask(client: TestClient, served: Served) -> None:
    plain = client.put("/api/images/0/objects/x", json=BODY).json()
    strokes = [{"mode": "add", "radius": 6, "points": [[10, 10], [60, 10]]}]
    painted = client.put("/api/images/0/objects/x", json={**BODY, "strokes": strokes}).json()
    assert painted["area"] > plain["area"] + 500
    assert served.read("masks/a.png.json")["masks"][0]["strokes"][0]["radius"] == 6


def test_verdicts_and_names_change_and_go(client: TestClient, served: Served) -> None:
    address = "/api/images/0/objects/x"
    client.put(address, json=BODY)
    assert client.patch(address, json={"category": "pear"}).json()["category"] == "pear"
    client.patch(address, json={"verdict": "reject"})
    assert served.read("prompts.json") == {}
    (row,) = served.rows()
    assert (row["mask"], row["verdict"], row["category"]) == (0, "reject", "pear")
    client.patch(address, json={"verdict": "", "category": ""})
    assert served.rows() == []
    assert client.delete(address).status_code == 204
    assert client.delete(address).status_code == 204
    assert served.read("masks/a.png.json")["masks"] == []
    assert client.patch(address, json={"verdict": "accept"}).status_code == 404


def test_annotations_of_an_earlier_time_are_there_again(
    client: TestClient, served: Served, serve: Serve
) -> None:
    client.put("/api/images/0/objects/x", json=BODY)
    served.stop()
    served.start()
    again = TestClient(served.app, base_url=served.address.rstrip("/"))
    (found,) = again.get("/api/images/0").json()["objects"]
    assert (found["id"], found["category"], found["verdict"]) == ("x", "apple", "accept")
    session = again.get("/api/session").json()
    assert session["categories"] == ["apple"]
    assert [image["accepted"] for image in session["images"]] == [1, 0, 0]


def test_a_kill_between_masks_and_prompts_is_made_up_for(
    client: TestClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("/api/images/1/objects/w", json={**BODY, "prompt": {"points": [[60, 130]]}})

    def killed(*_: Any) -> None:
        raise KeyError("killed here")

    monkeypatch.setattr(served.store, "_derive", killed)
    with pytest.raises(KeyError):
        client.put("/api/images/0/objects/x", json=BODY)
    assert "a.png" not in served.read("prompts.json")
    served.stop()
    served.start()
    assert set(served.read("prompts.json")) == {"a.png", "b.jpg"}


def test_an_image_that_cannot_be_read_says_so(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no image")
    served = serve(folder)
    reply = TestClient(served.app, base_url=served.address.rstrip("/")).get("/api/images/0")
    assert reply.status_code == 422
    assert "broken.png" in reply.json()["error"] and str(tmp_path) not in reply.text


class SlowAtTheSecond(LocalSegmenter):
    """Embeds the second image when it is allowed to."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.begun, self.allowed = threading.Event(), threading.Event()

    def prepare(self, image: OpenImage) -> None:
        if image.name == "b.jpg":
            self.begun.set()
            assert self.allowed.wait(30)
        super().prepare(image)


def test_masks_follow_the_pointer_while_the_next_image_is_embedded(
    serve: Serve, engine: Engine
) -> None:
    segmenter = SlowAtTheSecond(engine)
    served = serve(maker=segmenter)
    headers = {"Origin": served.address.rstrip("/")}
    api = f"{served.address}api/images"
    requests.post(f"{api}/0/embedding", json={}, headers=headers, timeout=30)

    def embed_the_next() -> None:
        requests.post(f"{api}/1/embedding", json={}, headers=headers, timeout=60)

    waiting = threading.Thread(target=embed_the_next)
    waiting.start()
    try:
        assert segmenter.begun.wait(30)
        body = {"prompt": APPLE}
        reply = requests.post(f"{api}/0/candidates", json=body, headers=headers, timeout=20)
        assert len(reply.json()["candidates"]) == 3
        assert waiting.is_alive()
    finally:
        segmenter.allowed.set()
        waiting.join(30)


def test_masks_of_another_image_of_the_name_are_neither_shown_nor_mixed(
    client: TestClient, served: Served, serve: Serve, tmp_path: Path
) -> None:
    client.put("/api/images/0/objects/x", json=BODY)
    served.stop()
    before = (served.output / "masks" / "a.png.json").read_bytes()
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "a.png").write_bytes((served.photos / "c.png").read_bytes())
    other = serve(folder, served.output)
    base = other.address.rstrip("/")
    client = TestClient(other.app, base_url=base, headers={"Origin": base})
    body = {"prompt": {"points": [[60, 60]]}}
    for reply in (client.get("/api/images/0"), client.put("/api/images/0/objects/y", json=body)):
        assert reply.status_code == 409 and "another image" in reply.json()["error"]
    assert (served.output / "masks" / "a.png.json").read_bytes() == before


def test_no_answer_is_kept_by_the_browser(client: TestClient) -> None:
    """The next server on this port may have other images under these numbers."""
    for address in ("/", "/page/main.js", "/api/images/0", "/api/images/0/picture"):
        assert client.get(address).headers["cache-control"] == "no-store"
