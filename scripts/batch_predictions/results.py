"""The results of a Vertex batch prediction: files of JSON lines, and files of statistics of errors.

The service chooses how many files it writes and in which order their lines are. Nothing here holds
more than one line in memory, and one file at a time on this machine's disk: 10,000 images have
gigabytes of masks.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from scripts.batch_predictions.input_lines import line_key
from serving.storage import Folder

# The guide names prediction.results-00000-of-00002, the API's reference predictions_0001.jsonl.
RESULTS = re.compile(r"(.*/)?(prediction\.results-\d+-of-\d+|predictions_\d+\.jsonl)")
ERRORS = re.compile(r"(.*/)?(prediction\.errors_stats-\d+-of-\d+|errors_\d+\.jsonl)")
_SHOWN_BYTES, _SHOWN_LINES = 4096, 5


def read_results(folder: Folder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every result's key by :func:`line_key`, and its prediction.

    A line that is no result, such as one that was cut off, is left out: its image has none then.

    Raises:
        StorageError: the results cannot be read.
    """
    for file in folder.files():
        if not RESULTS.fullmatch(file.name):
            continue
        with tempfile.TemporaryDirectory(prefix="sam-results-") as scratch:
            path = Path(scratch, "results")
            folder.download(file.name, path)
            with path.open("rb") as lines:
                for line in lines:
                    result = _result(line)
                    if result is not None:
                        yield result


def _result(line: bytes) -> tuple[str, dict[str, Any]] | None:
    try:
        row = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict):
        return None
    instance, prediction = row.get("instance"), row.get("prediction")
    if not isinstance(instance, dict) or not isinstance(prediction, dict):
        return None
    return line_key(instance), prediction


def error_statistics(folder: Folder) -> list[str]:
    """What the service says of the requests that failed, a few lines of it, as it stands there.

    It is for people. Google documents no form of it; reports show Python's tuples of a message and
    a count, ``('Post request fails. ...', 16)`` (googleapis/python-aiplatform, issue 2666), which
    name no instance.

    Raises:
        StorageError: the files cannot be read.
    """
    shown: list[str] = []
    for file in folder.files():
        if ERRORS.fullmatch(file.name) and len(shown) < _SHOWN_LINES:
            text = folder.read_head(file.name, _SHOWN_BYTES).decode("utf-8", "replace")
            shown += [line[:500] for line in text.splitlines() if line.strip()]
    return shown[:_SHOWN_LINES]
