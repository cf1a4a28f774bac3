"""A real project, named by the environment: deployed once, destroyed whatever happens."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.live.operator import REQUIRED, Operator

# Read before the suite takes the owner's settings and credentials out of the environment.
ENVIRONMENT = dict(os.environ)


@pytest.fixture(autouse=True)
def clean_environment() -> None:
    """Here the owner's credentials are what the tests need."""


@pytest.fixture(autouse=True)
def loopback_only() -> None:
    """Here the tests go out."""


@pytest.fixture(scope="session")
def operator() -> Operator:
    """Someone at a shell in this checkout, with a project."""
    missing = [name for name in REQUIRED if not ENVIRONMENT.get(name)]
    if missing:
        pytest.skip(f"live tests need {', '.join(missing)}; see tests/live/README.md")
    return Operator(ENVIRONMENT)


@pytest.fixture(scope="session")
def platform(operator: Operator) -> Iterator[Operator]:
    """Both stacks, still without a model."""
    try:
        operator.deploy()
        yield operator
    finally:
        if not operator.destroyed:
            operator.destroy()


@pytest.fixture(scope="session")
def serving(platform: Operator) -> Operator:
    """The same with the embedded checkpoint released to the endpoint."""
    image = platform.json("image", "build")["image"]
    checkpoint = platform.json("checkpoint", "upload", "vit_tiny")["checkpoint"]
    platform.deploy(SAM_IMAGE=image, SAM_CHECKPOINT=checkpoint)
    return platform
