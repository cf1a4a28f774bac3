"""How long a caller waits for Cloud Storage."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a storage that answers 429, 503 or nothing.

    Attributes:
        request_seconds: for the next bytes of one request.
        total_seconds: until no further try begins.
    """

    request_seconds: float = 60.0
    total_seconds: float = 300.0
