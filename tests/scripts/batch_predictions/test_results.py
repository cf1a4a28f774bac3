"""Results are read under both names of the service, whatever lies between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.batch_predictions.input_lines import line_key
from scripts.batch_predictions.results import error_statistics, read_results
from serving.storage import open_folder

FIRST = {"file_path": "a.png"}
# As googleapis/python-aiplatform issue 2666 shows them: Python's tuples, no JSON.
TUPLES = (
    "('Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 504 "
    "(upstream request timeout) from server, retry=3, elapsed=600.04s.', 16)\n"
)


@pytest.mark.parametrize(
    ("results", "errors"),
    [
        ("prediction.results-00000-of-00001", "prediction.errors_stats-00000-of-00001"),
        ("predictions_0001.jsonl", "errors_0001.jsonl"),
    ],
)
def test_results_are_read_and_errors_shown_under_both_names(
    tmp_path: Path, results: str, errors: str
) -> None:
    folder = tmp_path / "prediction-sam-model"
    folder.mkdir()
    lines = [
        json.dumps({"instance": FIRST, "prediction": {"masks": []}}),
        json.dumps({"instance": FIRST}),
        json.dumps(["other"]),
        '{"instance": {"file_path": "cut of',
    ]
    (folder / results).write_text("\n".join(lines))
    (folder / errors).write_text(TUPLES * 10)
    (folder / "other.jsonl").write_text("no JSON")
    opened = open_folder(str(tmp_path))
    assert list(read_results(opened)) == [(line_key(FIRST), {"masks": []})]
    assert error_statistics(opened) == [TUPLES.strip()] * 5
