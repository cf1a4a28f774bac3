"""Results are read under both names of the service, and put together in the order of prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.batch_predictions.input_lines import line_key
from scripts.batch_predictions.results import merge_records, read_results
from scripts.terminal.errors import OperatorError
from serving.sam.masks import encode_mask
from serving.sam.prompts import Prompt
from serving.storage import open_folder

FIRST, SECOND = {"file_path": "a.png"}, {"file_path": "b.png"}
POINTS = tuple(Prompt(points=((float(x), 1.0),), labels=(1,)) for x in range(3))


@pytest.mark.parametrize(
    ("results", "errors"),
    [
        ("prediction.results-00000-of-00001", "prediction.errors_stats-00000-of-00001"),
        ("predictions_0001.jsonl", "errors_0001.jsonl"),
    ],
)
def test_results_and_errors_are_read_under_both_names(
    tmp_path: Path, results: str, errors: str
) -> None:
    folder = tmp_path / "prediction-sam-model"
    folder.mkdir()
    (folder / results).write_text(json.dumps({"instance": FIRST, "prediction": {"masks": []}}))
    (folder / errors).write_text(json.dumps({"instance": SECOND, "error": {"message": "large"}}))
    (folder / "other.jsonl").write_text("no JSON")
    assert dict(read_results(open_folder(str(tmp_path)))) == {
        line_key(FIRST): {"masks": []},
        line_key(SECOND): {"error": {"message": "large"}},
    }


def prediction(*areas: int) -> dict[str, Any]:
    """An answer with a mask of each area, and one candidate a prompt."""
    masks = []
    for area in areas:
        mask = np.zeros((4, 4), bool)
        mask.flat[:area] = True
        masks.append([encode_mask(mask)])
    return {"masks": masks, "scores": [[0.9]] * len(areas)}


def test_masks_come_back_in_the_order_of_the_prompts() -> None:
    records = merge_records([((0, 2), prediction(1, 3)), ((1,), prediction(2))], POINTS)
    assert [record["area"] for record in records] == [1, 2, 3]
    assert records[1]["point_coords"] == [[1.0, 1.0]]


def test_line_without_result_and_line_with_error_are_refused() -> None:
    with pytest.raises(OperatorError, match="no result"):
        merge_records([((0,), None)], POINTS)
    with pytest.raises(OperatorError, match="too large"):
        merge_records([((0,), {"error": {"message": "too large"}})], POINTS)
