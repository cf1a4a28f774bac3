"""The model server with the embedded checkpoint: reply sizes, latencies, throughput, health.

Run by hand, on an otherwise idle machine: ``python -m tests.benchmarks.serving``. The figures go to
``tests/benchmarks/results/serving-<date>.json``; they are of the server around the network, which
with Meta's checkpoints takes longer by what the network takes longer.
"""

from __future__ import annotations

import base64
import datetime
import io
import json
import platform
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image

from serving.parameters import MASK_FORMATS
from serving.prompt_fields import parse_logits
from serving.sam.images import RgbImage
from serving.sam.masks import decode_mask
from tests.serving.conftest import Server, model_server

RESULTS = Path(__file__).parent / "results"
SIZE = (1800, 1200)
IMAGES = 60
REPEATS = 200
CLIENTS = (1, 4, 16)
LOAD_SECONDS = 8.0


def photograph(width: int = SIZE[0], height: int = SIZE[1]) -> RgbImage:
    """A photograph that scikit-image ships, scaled."""
    from skimage import data

    picture = Image.fromarray(data.astronaut()).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def encoded(image: RgbImage, number: int = 0) -> str:
    """The image as base64 of a JPEG; another number makes another file."""
    changed = image.copy()
    changed[0, :16] = number
    packed = io.BytesIO()
    Image.fromarray(changed).save(packed, "JPEG", quality=90)
    return base64.b64encode(packed.getvalue()).decode()


def instance(image: str, **prompt: Any) -> dict[str, Any]:
    """A click in the picture's middle, unless another prompt is given."""
    return {"file_path": "a.jpg", "image": image, **(prompt or {"input_point": [900, 400]})}


def nested_bytes(server: Server, image: str, logits: bool) -> int:
    """Bytes of the nested lists that the reply in RLE stands for."""
    (prediction,) = server.predict(instance(image))
    content = {"masks": [decode_mask(rle).tolist() for rle in prediction["masks"]]}
    if logits:
        field = "logits"
        content[field] = [parse_logits(logits, field)[0].tolist() for logits in prediction[field]]
    return len(json.dumps(content))


def reply_bytes(server: Server, image: str) -> dict[str, int]:
    """Bytes of the reply to one prompt, in each format, and as the nested lists of old."""
    sizes = {}
    for mask_format in MASK_FORMATS:
        for logits in (True, False):
            body = {
                "instances": [instance(image)],
                "parameters": {"mask_format": mask_format, "return_logits": logits},
            }
            reply = server.post(body)
            name = mask_format + ("_with_logits" if logits else "")
            if reply.status_code == 200:
                sizes[name] = len(reply.content)
            else:  # refused: nested lists do not fit an endpoint; this is what they would be
                sizes[name] = nested_bytes(server, image, logits)
    return sizes


def quantiles(times: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    ordered = sorted(times)
    return {
        "p50_ms": round(1000 * statistics.median(ordered), 1),
        "p99_ms": round(1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1),
    }


def latencies(server: Server, image: RgbImage) -> dict[str, dict[str, float]]:
    """Of the first prompt on an image, and of a repeated one."""
    session = requests.Session()
    times: dict[str, list[float]] = {"first_prompt": [], "repeated_prompt": []}

    def ask(body: dict[str, Any]) -> float:
        started = time.perf_counter()
        reply = session.post(f"{server.url}/predict", json=body, timeout=60)
        assert reply.status_code == 200, reply.text
        return time.perf_counter() - started

    parameters = {"return_logits": False}
    for number in range(IMAGES):
        body = {"instances": [instance(encoded(image, number + 1))], "parameters": parameters}
        times["first_prompt"].append(ask(body))
    body = {"instances": [instance(encoded(image, 1))], "parameters": parameters}
    ask(body)
    times["repeated_prompt"] = [ask(body) for _ in range(REPEATS)]
    return {name: quantiles(seconds) for name, seconds in times.items()}


def throughput(server: Server, image: RgbImage) -> dict[str, float]:
    """Requests a second: a click on an image asked about before, by so many clients at once."""
    body = {"instances": [instance(encoded(image))], "parameters": {"return_logits": False}}
    requests_a_second = {}
    for clients in CLIENTS:
        stop = time.monotonic() + LOAD_SECONDS

        def client(deadline: float = stop) -> int:
            session, count = requests.Session(), 0
            while time.monotonic() < deadline:
                reply = session.post(f"{server.url}/predict", json=body, timeout=60)
                assert reply.status_code == 200, reply.text
                count += 1
            return count

        started = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            total = sum(pool.map(lambda _: client(), range(clients)))
        requests_a_second[f"{clients}_clients"] = round(total / (time.monotonic() - started), 1)
    return requests_a_second


def health_under_load(server: Server, image: RgbImage) -> dict[str, float]:
    """Of a health check while four clients ask for automatic masks without end."""
    stop = threading.Event()
    body = {"instances": [{"image": encoded(image)}]}

    def load() -> None:
        session = requests.Session()
        while not stop.is_set():
            session.post(f"{server.url}/predict", json=body, timeout=600)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    session, times = requests.Session(), []
    end = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < end:
        started = time.perf_counter()
        assert session.get(f"{server.url}/health", timeout=10).status_code == 200
        times.append(time.perf_counter() - started)
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    return {**quantiles(times), "max_ms": round(1000 * max(times), 1), "checks": len(times)}


def main() -> None:
    """Measure, print, and write the dated file."""
    import torch

    image = photograph()
    with tempfile.TemporaryDirectory() as folder, model_server(Path(folder)) as server:
        sizes = reply_bytes(server, encoded(image))
        times = latencies(server, image)
        rates = throughput(server, image)
        health = health_under_load(server, image)
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "checkpoint": "vit_tiny",
        "image": f"{SIZE[0]}x{SIZE[1]} JPEG, {len(encoded(image))} bytes as base64",
        "reply_bytes_one_mask": sizes,
        "latency": times,
        "requests_per_second": rates,
        "health_under_load": health,
    }
    text = json.dumps(result, indent=2)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"serving-{result['date']}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
