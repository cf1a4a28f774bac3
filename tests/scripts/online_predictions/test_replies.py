"""A reply gives the records that a run keeps, and an error the server's own message."""

from __future__ import annotations

import pytest

from scripts.online_predictions.replies import check_reply, innermost_message, mask_records
from scripts.terminal.errors import CALLER, CLOUD, OperatorError
from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.masks import encode_mask
from serving.sam.prompts import Prompt

CLICK = Prompt(points=((80.0, 95.0),), labels=(1,))


def test_prediction_becomes_the_records_of_a_run(engine: Engine, scene: RgbImage) -> None:
    """Area, box and points as the engine's own records have them."""
    embedding = engine.embed(scene)
    masks = engine.predict(embedding, CLICK, multimask_output=True)
    prediction = {
        "masks": [encode_mask(mask) for mask in masks.masks], "scores": masks.scores.tolist(),
    }  # fmt: skip
    (record,) = mask_records(prediction, [CLICK])
    (expected,) = engine.segment(embedding, [CLICK])
    for key in ("segmentation", "area", "bbox", "point_coords", "prompt", "crop_box"):
        assert record[key] == expected[key], key
    assert record["predicted_iou"] == pytest.approx(expected["predicted_iou"], abs=1e-5)
    with pytest.raises(OperatorError, match="too large"):
        mask_records({"error": {"message": "too large"}}, [CLICK])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plain text", "plain text"),
        ('400: {"error": {"message": "outer"}}', "outer"),
        ('x {"error": {"message": "{\\"error\\": {\\"message\\": \\"inner\\"}}"}}.', "inner"),
        ("{broken", "{broken"),
    ],
)
def test_message_of_the_server_is_taken_out_of_its_wrappings(text: str, message: str) -> None:
    assert innermost_message(text) == message


@pytest.mark.parametrize(
    ("status", "text", "message", "exit_code"),
    [
        (400, '{"error": {"message": "bad box"}}', "bad box", CALLER),
        (429, "busy", "busy", CLOUD),
        (500, '{"error": "internal"}', "internal", CLOUD),
        (200, "{}", "{}", CLOUD),
    ],
)
def test_refusal_is_the_callers_fault_only_where_the_request_is(
    status: int, text: str, message: str, exit_code: int
) -> None:
    with pytest.raises(OperatorError, match=message) as caught:
        check_reply(status, text)
    assert caught.value.exit_code == exit_code
