"""A run's results, out of the bucket."""

from __future__ import annotations

import itertools
from pathlib import Path

from serving.storage import open_folder

# What people look at; masks and cut-outs of thousands of images stay where they are.
_SHOWN = ("manifest.jsonl", "metrics.json", "report.html", "report.md", "report_data/")


def fetch_run(uri: str, folder: Path, overlays: int = 6) -> int:
    """Copy a run's report and its first overlays to this machine.

    Args:
        uri: its output, ``gs://`` or local.
        folder: receives them, under the same names.
        overlays: how many overlays.

    Returns:
        The number of files.

    Raises:
        StorageError: the output cannot be read.
    """
    source = open_folder(uri)
    names = [file.name for part in _SHOWN for file in source.files(part)]
    names += [file.name for file in itertools.islice(source.files("overlays/"), overlays)]
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        source.download(name, path)
    return len(names)
