"""Log lines as Cloud Logging reads them: one JSON object each, with severity and trace.

Of a JSON line in a container's output Cloud Logging takes ``severity``, ``message`` and
``logging.googleapis.com/trace``; the rest becomes ``jsonPayload`` ("Structured logging", "Special
fields in structured payloads"). That Vertex AI's endpoints forward a trace header to the container
is UNVERIFIED; where none arrives, the line has none.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import orjson

_W3C = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_GOOGLE = re.compile(r"([0-9a-f]{32})(?:/\d{1,20})?(?:;o=\d)?")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, with the fields of its ``values``.

    Args:
        project: number or id of the project that traces belong to; that the number does is
            UNVERIFIED. Empty for none.
    """

    def __init__(self, project: str = "") -> None:
        super().__init__()
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        line: dict[str, Any] = {
            "severity": record.levelname,  # Python's five names are Cloud Logging's too
            # A name of a file may hold lone surrogates, which UTF-8 cannot.
            "message": message.encode("utf-8", "backslashreplace").decode(),
            "logger": record.name,
            **getattr(record, "values", {}),
        }
        trace = getattr(record, "trace", "")
        if trace:
            resource = f"projects/{self._project}/traces/{trace}" if self._project else trace
            line["logging.googleapis.com/trace"] = resource
        return orjson.dumps(line, default=str).decode()


def write_log_lines(environ: Mapping[str, str]) -> None:
    """Write this process's log to its output: as JSON on Vertex AI, else for people.

    Args:
        environ: the variables of the process; Vertex sets ``AIP_MODE`` and ``AIP_PROJECT_NUMBER``.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s: %(message)s"))
    if environ.get("AIP_MODE") == "PREDICTION":
        handler.setFormatter(JsonLines(environ.get("AIP_PROJECT_NUMBER", "")))
    root = logging.getLogger()
    for earlier in list(root.handlers):
        if type(earlier) is logging.StreamHandler:  # the SDK's
            root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def trace_of(headers: Mapping[str, str]) -> str:
    """The trace that a request belongs to, 32 hexadecimal digits, or empty.

    Args:
        headers: of the request, by names in lower case.
    """
    found = _W3C.fullmatch(headers.get("traceparent", "")) or _GOOGLE.fullmatch(
        headers.get("x-cloud-trace-context", "")
    )
    return found[1] if found else ""
