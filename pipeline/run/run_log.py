"""What Kubeflow and the steps of a local run print, kept in the run's output."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
from pathlib import Path
from typing import IO

from pipeline.run.claim import ClaimLostError
from pipeline.run.output_layout import LOG
from serving.storage import Folder, StorageError

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FIRST_PAUSE_SECONDS = 1.0
_UPLOAD_SHARE = 0.05  # of the time at most, however long the log has become
_LAST_UPLOAD_SECONDS = 15.0  # a run whose storage is gone ends without its log


class RunLog(io.TextIOBase):
    """Writes each line as it comes, so that the log of a killed run is there as well.

    In a folder of this machine it is complete up to the kill; a bucket receives the whole log again
    every few seconds. A log that cannot be written, on a full disk say, does not end the run.

    Args:
        output: the run's output.
        scratch: folder that holds the log while it grows, for an output in a bucket.
        echo: receives the same text; ``None`` for nobody.
    """

    def __init__(self, output: Folder, scratch: Path, echo: IO[str] | None = None) -> None:
        self._output, self._echo = output, echo
        self._path = Path(output.uri_of(LOG)) if output.is_local else scratch / "log.txt"
        self._file: io.FileIO | None = None
        self._uploaded_bytes = 0
        self._ended = threading.Event()
        self._uploads: threading.Thread | None = None
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = io.FileIO(self._path, "w")
        if not output.is_local:
            self._uploads = threading.Thread(target=self._keep_uploading, name="log", daemon=True)
            self._uploads.start()

    @property
    def uri(self) -> str:
        """Where the output holds the log; empty if it could not be written there."""
        kept = self._file is not None if self._output.is_local else self._uploaded_bytes > 0
        return self._output.uri_of(LOG) if kept else ""

    def write(self, text: str) -> int:
        """Write text without its colours."""
        plain = _COLOUR.sub("", text)
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.write(plain.encode("utf-8", "replace"))
        if self._echo is not None:
            self._echo.write(plain)
        return len(text)

    def close(self) -> None:
        """Bring the last lines to the output; a second call does nothing."""
        if self._uploads is not None:
            self._ended.set()
            self._uploads.join(_LAST_UPLOAD_SECONDS)
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        super().close()

    def _keep_uploading(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._ended.wait(pause):
            begun = time.monotonic()
            self._upload()
            seconds = time.monotonic() - begun
            pause = max(self._output.progress_seconds, seconds / _UPLOAD_SHARE)
        self._upload()

    def _upload(self) -> None:
        with contextlib.suppress(OSError, StorageError, ClaimLostError):
            content = self._path.read_bytes()
            if len(content) > self._uploaded_bytes:
                self._output.write_bytes(LOG, content, "text/plain; charset=utf-8")
                self._uploaded_bytes = len(content)
