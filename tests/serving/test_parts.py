"""Settings, the cache of embeddings, and the estimate of how long work takes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from serving.artifacts import choose_checkpoint
from serving.embedding_cache import EmbeddingCache
from serving.errors import ArtifactsError
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.decoder import PreparedImage
from serving.sam.embedding import Embedding
from serving.settings import ServingSettings
from serving.timing import WorkTimes, grid_points


def test_settings_are_read_from_their_variables() -> None:
    settings = ServingSettings.from_environ(
        {
            "SERVING_PRECISION": "bf16", "SERVING_TIMEOUT_SECONDS": "2.5", "PATH": "/bin",
            "SERVING_MAX_INSTANCES": "3", "SERVING_READ_PREFIXES": "gs://a/b, gs://c/",
        }
    )  # fmt: skip
    assert settings.precision == "bf16"
    assert (settings.timeout_seconds, settings.max_instances) == (2.5, 3)
    assert settings.read_prefixes == ("gs://a/b/", "gs://c/")
    assert ServingSettings.from_environ({}) == ServingSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVING_PRECISON", "fp32"), ("SERVING_PRECISION", "fp8"), ("SERVING_MAX_PIXELS", "many"),
        ("SERVING_MAX_PIXELS", "-1"), ("SERVING_TIMEOUT_SECONDS", "nan"),
        ("SERVING_READ_PREFIXES", "/etc"), ("SERVING_WRITE_PREFIXES", "gs://"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ArtifactsError, match=name):
        ServingSettings.from_environ({name: value})


@pytest.mark.parametrize(
    ("names", "requested", "chosen"),
    [
        (["a.pth"], "", "a.pth"), (["a.pth", "notes.txt"], "", "a.pth"), (["a.pt"], "", "a.pt"),
        (["a.pth", "b.pth"], "b.pth", "b.pth"), (["a.pth", "b.pth"], "", None), ([], "", None),
        (["a.pth"], "b.pth", None), (["x/a.pth"], "", None),
    ],
)  # fmt: skip
def test_the_checkpoint_of_a_folder(names: list[str], requested: str, chosen: str | None) -> None:
    sizes = dict.fromkeys(names, 1)
    if chosen is None:
        with pytest.raises(ArtifactsError, match="folder"):
            choose_checkpoint(sizes, requested, "folder")
    else:
        assert choose_checkpoint(sizes, requested, "folder") == chosen


def embedding(numbers: int) -> Embedding:
    prepared = PreparedImage(*[torch.zeros(0)] * 4)
    return Embedding(torch.zeros(1, numbers), (1, 1), (1, 1), prepared)


def test_the_cache_is_bounded_by_bytes_and_forgets_the_least_recently_used() -> None:
    cache = EmbeddingCache(12 * 4)
    a, b, c = embedding(4), embedding(4), embedding(8)
    cache.put("a", a)
    cache.put("b", b)
    assert cache.get("a") is a
    cache.put("c", c)  # pushes "b" out, which nobody asked for
    assert cache.get("b") is None
    assert cache.get("a") is a
    assert cache.get("c") is c
    assert (cache.hits, cache.misses) == (3, 1)
    assert (len(cache), cache.size_bytes) == (2, 48)
    cache.put("large", embedding(13))
    assert cache.peek("large") is None
    cache.put("a", embedding(1))  # replaced, not added
    assert cache.size_bytes == 4 + 32
    assert (cache.hits, cache.misses) == (3, 1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"points_per_side": 32}, (1, 1024)),
        ({"points_per_side": 8, "crop_n_layers": 1}, (5, 64 + 4 * 64)),
        (
            {"points_per_side": 8, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2},
            (21, 64 + 4 * 16 + 16 * 4),
        ),
        ({"points_per_side": None, "point_grids": (((0.5, 0.5), (0.1, 0.1)),)}, (1, 2)),
    ],
)
def test_points_of_a_grid(changes: dict[str, Any], expected: tuple[int, int]) -> None:
    assert grid_points(dataclasses.replace(AutomaticSettings(), **changes)) == expected


def test_the_official_generator_looks_at_as_many_points(engine: Any) -> None:
    from segment_anything import SamAutomaticMaskGenerator
    from segment_anything.utils.amg import generate_crop_boxes

    settings = {"points_per_side": 8, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2}
    official = SamAutomaticMaskGenerator(engine.checkpoint.sam, **settings)
    boxes, layers = generate_crop_boxes((200, 300), 2, official.crop_overlap_ratio)
    points = sum(len(official.point_grids[layer]) for layer in layers)
    ours = grid_points(dataclasses.replace(AutomaticSettings(), **settings))  # type: ignore[arg-type]
    assert ours == (len(boxes), points)


def test_times_follow_what_is_measured() -> None:
    times = WorkTimes()
    times.observe("embedding", 1.0)
    times.observe("prompt", 1.0, 10)
    times.observe("point", 1.0, 100)
    assert times.prompted(3, cached=False) == pytest.approx(1.3)
    assert times.prompted(3, cached=True) == pytest.approx(0.3)
    grid = dataclasses.replace(AutomaticSettings(), points_per_side=10)
    assert times.automatic(grid) == pytest.approx(2.0)
    for _ in range(60):
        times.observe("embedding", 3.0)
    assert times.embedding == pytest.approx(3.0, abs=0.01)
    times.observe("embedding", 9.0, 0)  # nothing was done, nothing is learnt
    assert times.embedding == pytest.approx(3.0, abs=0.01)
