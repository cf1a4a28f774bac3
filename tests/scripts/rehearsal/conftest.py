"""A running local cloud for the tests of the stand-ins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.rehearsal import local_cloud as clouds


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clouds.Cloud]:
    """Storage and the provider's mirror."""
    home = tmp_path_factory.mktemp("rehearsal")
    yield clouds.start(home)
    clouds.stop(home)
