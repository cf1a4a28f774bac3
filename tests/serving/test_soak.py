"""A server under ten minutes of mixed requests keeps its memory, threads and descriptors."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.hostile import FOLDER, files
from tests.serving.conftest import Server, base64_png

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
SETTLED = 0.2  # of the time, two minutes of ten: what is kept is full by then
Launch = Callable[..., contextlib.AbstractContextManager[Server]]


class Usage:
    """What a process takes now: resident MB, threads, open descriptors."""

    def __init__(self, pid: int) -> None:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in status if ":" in line)
        self.resident_mb = int(values["VmRSS"].split()[0]) / 1000
        self.peak_mb = int(values["VmHWM"].split()[0]) / 1000
        self.threads = int(values["Threads"])
        self.descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def __repr__(self) -> str:
        return f"{self.resident_mb:.0f} MB, {self.threads} threads, {self.descriptors} descriptors"


def requests_without_end(seed: int) -> Any:
    """Prompts on new and known images, automatic masks, several instances, and what is wrong."""
    draw = random.Random(seed)
    bodies = [path.read_bytes() for path in files("requests")]
    images = [base64_png(width, 240) for width in range(200, 460, 20)]
    for number in itertools.count():
        image = draw.choice(images)
        kind = number % 5
        if kind == 0:
            yield {"data": draw.choice(bodies), "headers": {"Content-Type": "application/json"}}
        elif kind == 1:
            settings = {"points_per_side": draw.randint(2, 6)}
            yield {"json": {"instances": [{"image": image}], "parameters": settings}}
        elif kind == 2:
            boxes = [[10, 10, 60 + 10 * n, 90] for n in range(draw.randint(1, 6))]
            form = draw.choice(["rle", "polygon", "png"])
            instances = [{"image": image, "input_box": boxes}]
            yield {"json": {"instances": instances, "parameters": {"mask_format": form}}}
        else:
            point = [draw.randint(0, 150), draw.randint(0, 200)]
            yield {"json": {"instances": [{"image": image, "input_point": point}] * kind}}


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
def test_ten_minutes_of_mixed_requests_leave_nothing_behind(launch: Launch) -> None:
    # A cache that is full within the first minutes, so that growth is no filling of the cache.
    with launch(SERVING_EMBEDDING_CACHE_BYTES=str(30_000_000)) as server:
        pid = server.process.pid
        before = Usage(pid)
        begun = time.monotonic()
        statuses: dict[int, int] = {}
        lock = threading.Lock()

        def client(seed: int) -> None:
            for arguments in requests_without_end(seed):
                if time.monotonic() - begun > SECONDS:
                    return
                status = server.post(**arguments).status_code
                with lock:
                    statuses[status] = statuses.get(status, 0) + 1

        clients = [threading.Thread(target=client, args=(seed,)) for seed in range(3)]
        for thread in clients:
            thread.start()
        time.sleep(SECONDS * SETTLED)
        settled = Usage(pid)
        for thread in clients:
            thread.join()
        time.sleep(1)
        after = Usage(pid)
        print(f"{statuses}; before {before}; settled {settled}; after {after}")
        assert set(statuses) <= {200, 400, 409, 413, 422} and statuses[200] > SECONDS / 2
        assert after.resident_mb < 1.05 * settled.resident_mb
        assert after.threads <= settled.threads
        assert after.descriptors <= before.descriptors + 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_requests_of_64_images_of_88_megapixels_take_a_gigabyte(launch: Launch) -> None:
    """Each image has 265 MB of pixels; its file has 11 kB. All of them at once would be 17 GB."""
    flat = (FOLDER / "images" / "flat-88-megapixels.png").read_bytes()
    image = {"image": base64.b64encode(flat).decode()}
    prompted = {"instances": [{**image, "input_point": [10, 10]}] * 64}
    automatic = {"instances": [image] * 64, "parameters": {"points_per_side": 2}}
    with launch(SERVING_TIMEOUT_SECONDS="600") as server:
        before = Usage(server.process.pid).peak_mb
        peaks = []
        for bodies in ([automatic], [automatic, prompted, automatic, prompted]):
            with ThreadPoolExecutor(len(bodies)) as pool:
                replies = list(pool.map(post_patiently, [server.url] * len(bodies), bodies))
            assert {reply.status_code for reply in replies} <= {200, 413, 422}
            peaks.append(Usage(server.process.pid).peak_mb - before)
        print("rise in MB, one request and four at once:", [round(peak) for peak in peaks])
        assert peaks[0] < 1000 and peaks[1] < 1400


def post_patiently(url: str, body: dict[str, Any]) -> requests.Response:
    return requests.post(f"{url}/predict", json=body, timeout=600)
