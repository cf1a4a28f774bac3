"""The annotation page's latencies on the wire: the mask that follows the pointer, the next image.

Run by hand, on an otherwise idle machine: ``python -m tests.benchmarks.annotate``, with ``--vit-b``
also for a network of vit_b's shape (``tests/widened.py``). The figures go to
``tests/benchmarks/results/annotate-<date>.json``.

- ``hover``: a prompt of one point, from the request to the last byte of the masks, over loopback;
- ``decode``: the same prompt by the engine alone, in this process, in turns with the server's;
- ``next_image``: from the wish for the next image, which was embedded beforehand, to its picture
  and first mask.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import requests
import torch
from PIL import Image

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunParameters
from scripts.annotate.app import AnnotationServer
from scripts.annotate.guard import Access
from scripts.annotate.saved.store import AnnotationStore
from scripts.annotate.segmenters import LocalSegmenter
from scripts.annotate.server import Server, bind
from scripts.annotate.shelf import ImageShelf
from serving.sam import Engine, Prompt, load_image
from serving.storage import open_folder
from tests.benchmarks import record
from tests.widened import widened

HOVERS = 200
LOOKS = 3  # at each image, seconds
SIZE = (1200, 800)


def write_photographs(folder: Path) -> None:
    """Photographs that scikit-image ships, at the size of a small camera's."""
    from skimage import data

    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        picture = Image.fromarray(getattr(data, name)()).resize(SIZE, Image.Resampling.LANCZOS)
        picture.save(folder / f"{name}.jpg", quality=90)


def milliseconds(times: list[float]) -> dict[str, float]:
    """Median and 95th percentile of seconds."""
    return {
        "p50_ms": round(1000 * statistics.median(times), 1),
        "p95_ms": round(1000 * statistics.quantiles(times, n=20)[-1], 1),
    }


def timed(work: Callable[..., object], *arguments: Any, **options: Any) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - started


def measure(engine: Engine, photos: Path, output: Path) -> dict[str, Any]:
    """Serve the photographs with an engine and ask as the page does."""
    images = find_images(RunParameters(inputs=(str(photos),), output=str(output)))
    store = AnnotationStore(open_folder(str(output)), {})
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = AnnotationServer(ImageShelf(images), store, LocalSegmenter(engine))
    ready = threading.Event()
    running = Server(server.app(Access(port=port)), ready.set)
    thread = threading.Thread(target=lambda: running.run([listener]))
    thread.start()
    ready.wait()
    client = requests.Session()
    client.headers["Origin"] = address = f"http://127.0.0.1:{port}"

    def post(number: int, path: str, body: object) -> None:
        reply = client.post(f"{address}/api/images/{number}/{path}", json=body)
        reply.raise_for_status()

    def hover(number: int, x: float, y: float) -> None:
        post(number, "candidates", {"prompt": {"points": [[x, y]], "labels": [1]}})

    def turn(number: int) -> None:
        post(number, "embedding", {})
        client.get(f"{address}/api/images/{number}").raise_for_status()
        client.get(f"{address}/api/images/{number}/picture").raise_for_status()
        hover(number, 300, 300)

    embed = timed(post, 0, "embedding", {})
    embedding = engine.embed(load_image(photos / images[0].file))
    random = np.random.default_rng(11)
    hovers, decodes = [], []
    for _ in range(HOVERS):
        x, y = (float(random.uniform(0, limit)) for limit in SIZE)
        hovers.append(timed(hover, 0, x, y))
        prompt = Prompt(points=((x, y),), labels=(1,))
        decodes.append(timed(engine.predict, embedding, prompt, multimask_output=True))
    turns = []
    for number in range(1, len(images)):
        post(number, "embedding", {})  # as the page does while somebody looks at the one before
        time.sleep(LOOKS)
        turns.append(timed(turn, number))
    running.should_exit = True
    thread.join()
    store.close()
    return {
        "first_embedding_s": round(embed, 2),
        "hover": milliseconds(hovers),
        "decode": milliseconds(decodes),
        "hover_to_decode": round(statistics.median(hovers) / statistics.median(decodes), 2),
        "next_image_s": [round(seconds, 3) for seconds in turns],
    }


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--vit-b", action="store_true", help="a network of vit_b's shape too")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    arguments = parser.parse_args()
    result: dict[str, Any] = {**record.about(), "image": list(SIZE), "hovers": HOVERS}
    result |= {"threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1)}
    result |= {"note": arguments.note} if arguments.note else {}
    with tempfile.TemporaryDirectory(prefix="sam-annotate-") as scratch:
        photos = Path(scratch, "photos")
        photos.mkdir()
        write_photographs(photos)
        engine = Engine.load("vit_tiny")
        result["vit_tiny"] = measure(engine, photos, Path(scratch, "tiny"))
        if arguments.vit_b:
            engine = Engine(widened("vit_b"))
            result["vit_b"] = measure(engine, photos, Path(scratch, "large"))
    record.write("annotate", result)


if __name__ == "__main__":
    main()
