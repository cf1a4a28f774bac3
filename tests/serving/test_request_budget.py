"""A request's pixels and bytes are counted before they are spent."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from serving.errors import RequestError
from serving.parameters import Parameters
from serving.replies import logits_in_format, mask_in_format
from serving.request_budget import RequestBudget, foreseen_bytes
from serving.sam.masks import encode_mask
from serving.settings import ServingSettings

ARRAY = Parameters(mask_format="array")


def test_images_may_have_the_limits_pixels_together() -> None:
    budget = RequestBudget(ServingSettings(max_request_pixels=100), Parameters())
    budget.take_pixels("instances[0].image", 60)
    with pytest.raises(RequestError, match=r"instances\[1\].image: .* has 101, more than") as error:
        budget.take_pixels("instances[1].image", 41)
    assert error.value.status_code == 413
    budget.take_pixels("instances[2].image", 40)  # a smaller one still fits


@pytest.mark.parametrize(
    ("parameters", "limits", "way_out"),
    [
        (ARRAY, {"reply_limit_bytes": 10_000}, "name an output_uri"),
        (
            Parameters(mask_format="array", output_uri="gs://b/out/"), {"max_output_bytes": 8_000},
            "the limit of an output_uri",
        ),
        (Parameters(), {"reply_limit_bytes": 100_000}, '"return_logits": false'),
    ],
    ids=["reply", "bucket", "logits"],
)  # fmt: skip
def test_masks_of_all_instances_count_together(
    parameters: Parameters, limits: dict[str, Any], way_out: str
) -> None:
    budget = RequestBudget(ServingSettings(**limits), parameters)
    side = 0 if parameters.mask_format == "array" else 128
    budget.take_masks("instances[0]", 1, 1_000, side)
    with pytest.raises(RequestError, match=r"instances\[1\]: 1 mask") as error:
        for _ in range(2):
            budget.take_masks("instances[1]", 1, 1_000, side)
    assert error.value.status_code == 422
    assert way_out in error.value.message


def test_rle_without_logits_is_no_matter_of_size() -> None:
    budget = RequestBudget(ServingSettings(reply_limit_bytes=1), Parameters(return_logits=False))
    budget.take_masks("instances[0]", 1000, 89_000_000, 256)


@pytest.mark.parametrize("mask_format", ["rle", "array"])
def test_the_forecast_is_what_the_json_takes(mask_format: Any) -> None:
    rng = np.random.default_rng(1)
    parameters = Parameters(mask_format=mask_format)
    mask = rng.random((120, 160)) > 0.5
    logits = rng.normal(0, 8, (128, 128)).astype(np.float32)
    content = orjson.dumps(logits_in_format(logits, mask_format))
    if mask_format == "array":
        content += orjson.dumps(mask_in_format(encode_mask(mask), mask_format))
    foreseen = foreseen_bytes(parameters, 1, mask.size, prompted=True, logits_side=128)
    assert foreseen == pytest.approx(len(content), rel=0.05)
