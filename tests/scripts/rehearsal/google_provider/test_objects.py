"""The client of the storage stand-in speaks to this machine only."""

from __future__ import annotations

import pytest

from scripts.rehearsal.google_provider.objects import Objects


def test_stand_in_writes_nowhere_but_here() -> None:
    with pytest.raises(ValueError, match="not on this machine"):
        Objects("https://storage.googleapis.com")
