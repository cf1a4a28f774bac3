"""A GPU for tests of the core, which is pretended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stand_ins.pretend_gpu import PretendGpu, pretend


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendGpu]:
    """What counts; as long as it stands, ``cuda:0`` is a device of this machine."""
    yield from pretend(monkeypatch)
