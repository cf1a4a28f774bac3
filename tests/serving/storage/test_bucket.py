"""What only a bucket has: credentials, refusals, and a service that does not answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.storage import (
    BucketError,
    Patience,
    StorageError,
    open_folder,
)
from serving.storage.client import storage_client


@pytest.fixture
def no_client() -> Iterator[None]:
    """A test's bucket makes a client of its own, which no later test gets."""
    storage_client.cache_clear()
    yield
    storage_client.cache_clear()


@pytest.mark.usefixtures("no_client")
def test_bucket_without_credentials_says_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    with pytest.raises(StorageError, match="gcloud auth application-default login"):
        open_folder("gs://bucket/x")


@pytest.mark.usefixtures("no_client")
def test_bucket_needs_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``gcloud auth application-default login`` alone leaves user credentials, and no project."""
    credentials = tmp_path / "application_default_credentials.json"
    credentials.write_text(
        json.dumps(
            {
                "type": "authorized_user",
                "client_id": "id",
                "client_secret": "secret",
                "refresh_token": "token",
            }
        )
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials))
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    assert open_folder("gs://bucket/x").uri == "gs://bucket/x"


def test_refusal_of_cloud_storage_carries_its_status(bucket: Callable[[str], str]) -> None:
    with pytest.raises(BucketError, match=r"none\.png") as caught:
        open_folder(bucket("images")).read_bytes("none.png")
    assert caught.value.status == 404


def test_storage_that_does_not_answer_ends_the_callers_patience(
    bucket: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = bucket("images")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    storage_client.cache_clear()
    folder = open_folder(uri, Patience(request_seconds=0.5, total_seconds=1.0))
    started = time.monotonic()
    with pytest.raises(BucketError, match="images") as caught:
        folder.read_bytes("a.png")
    assert caught.value.status is None
    assert time.monotonic() - started < 20
