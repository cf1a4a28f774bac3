"""Versions that are no longer current: a versioned bucket keeps what was overwritten or deleted.

https://docs.cloud.google.com/storage/docs/object-versioning. The server behind the front keeps one
version of each object only. So the front remembers that there were others, which is what makes a
bucket not empty; their content is gone.
"""

from __future__ import annotations

import datetime
import json
import threading
from pathlib import Path
from typing import Any

PLACEHOLDER = ".managed-folder"  # stands for a managed folder, which is no object


class Versions:
    """The noncurrent versions of all objects.

    Args:
        path: the file that keeps them between two starts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._noncurrent: list[dict[str, Any]] = []
        if path.exists():
            self._noncurrent = json.loads(path.read_text("utf-8"))
        self._last = max((int(item["generation"]) for item in self._noncurrent), default=0)

    def add(self, bucket: str, name: str) -> None:
        """Note that an object was overwritten or deleted."""
        if name.endswith(PLACEHOLDER):
            return
        now = datetime.datetime.now(datetime.UTC)
        with self._lock:
            self._last = max(self._last + 1, int(now.timestamp() * 1e6))
            self._noncurrent.append(
                {
                    "kind": "storage#object",
                    "bucket": bucket,
                    "name": name,
                    "generation": str(self._last),
                    "metageneration": "1",
                    "timeDeleted": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                    "size": "0",
                }
            )

    def below(self, bucket: str, prefix: str) -> list[dict[str, Any]]:
        """The noncurrent versions of objects whose names begin so, as a listing shows them."""
        with self._lock:
            return [
                item
                for item in self._noncurrent
                if item["bucket"] == bucket and item["name"].startswith(prefix)
            ]

    def remove(self, bucket: str, name: str, generation: str) -> bool:
        """Forget one version for good; whether it was there."""
        with self._lock:
            kept = [
                item
                for item in self._noncurrent
                if (item["bucket"], item["name"], item["generation"]) != (bucket, name, generation)
            ]
            found = len(kept) < len(self._noncurrent)
            self._noncurrent = kept
            return found

    def save(self) -> None:
        """Write the file."""
        with self._lock:
            self._path.write_text(json.dumps(self._noncurrent), "utf-8")
