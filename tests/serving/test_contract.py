"""A request means the same when protobuf has passed it on, whose numbers are all floats."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2

from serving.contract import Instance, parse_request
from serving.settings import ServingSettings
from tests.serving.conftest import base64_png

IMAGE = base64_png(64, 48)
LOGITS = {"dtype": "float16", "shape": [1, 2, 2], "data": "AAAAAAAAAAA="}


def through_protobuf(content: dict[str, Any]) -> dict[str, Any]:
    """As a shared endpoint passes a request on: into a Struct and back, whole numbers as 1.0."""
    message = struct_pb2.Struct()
    json_format.ParseDict(content, message)

    def plain(value: struct_pb2.Value) -> Any:
        kind = value.WhichOneof("kind")
        if kind == "struct_value":
            return {name: plain(item) for name, item in value.struct_value.fields.items()}
        if kind == "list_value":
            return [plain(item) for item in value.list_value.values]
        return None if kind == "null_value" else getattr(value, kind or "")

    return {name: plain(item) for name, item in message.fields.items()}


@pytest.mark.parametrize(
    ("instance", "parameters"),
    [
        ({"input_point": [20, 20], "input_label": 1}, {"max_masks": 3}),
        ({"input_point": [[20, 20], [9, 9]], "input_label": [1, 0]}, {"points_per_batch": 8}),
        ({"input_point": [[[20, 20]], [[9, 9]]], "input_label": [[1], [1]]}, {}),
        ({"input_box": [1, 2, 30, 40], "multimask_output": True}, {"return_logits": False}),
        ({"input_point": [20, 20], "mask_input": LOGITS}, {}),
        ({}, {"points_per_side": 4, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2}),
        ({}, {"min_mask_region_area": 10, "stability_score_offset": 1}),
    ],
    ids=["label", "labels", "objects", "box", "logits", "grid", "regions"],
)
def test_whole_numbers_may_arrive_as_floats(
    instance: dict[str, Any], parameters: dict[str, Any]
) -> None:
    content = {"instances": [{"image": IMAGE, **instance}], "parameters": parameters}
    as_floats = through_protobuf(content)
    settings = ServingSettings()
    sent, arrived = parse_request(content, settings), parse_request(as_floats, settings)
    assert sent.parameters == arrived.parameters
    (one,), (other,) = sent.instances, arrived.instances
    assert isinstance(one, Instance) and isinstance(other, Instance)
    assert one.prompts == other.prompts
    assert [m.tolist() for m in one.mask_inputs] == [m.tolist() for m in other.mask_inputs]
