"""One storage stand-in for all tests of the infrastructure; a world for each deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.rehearsal import local_cloud as clouds
from tests.infra.deployment import Deployment


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clouds.Cloud]:
    """A running local cloud."""
    home = tmp_path_factory.mktemp("rehearsal")
    yield clouds.start(home)
    clouds.stop(home)


@pytest.fixture
def deployment(tmp_path: Path, cloud: clouds.Cloud) -> Iterator[Callable[..., Deployment]]:
    """Make a deployment from settings."""
    deployments: list[Deployment] = []

    def make(**settings: Any) -> Deployment:
        deployments.append(Deployment(tmp_path, cloud, **settings))
        return deployments[-1]

    yield make
    for deployment in deployments:
        deployment.close()
