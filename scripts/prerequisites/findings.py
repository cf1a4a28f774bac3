"""The result of a check."""

from __future__ import annotations

import dataclasses
from typing import Literal

Part = Literal["this machine", "Google Cloud"]
Status = Literal["ok", "missing", "wrong", "waiting", "skipped"]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was checked.
        status: ok; missing or wrong, which make the command fail; waiting; skipped.
        message: the version, the path or the fault.
        hint: how to fix it.
        part: what it is needed for: a run on this machine, or Google Cloud.
    """

    check: str
    status: Status
    message: str
    hint: str = ""
    part: Part = "Google Cloud"

    @property
    def bad(self) -> bool:
        """Whether the operator must fix it."""
        return self.status in ("missing", "wrong")
