"""The front of the storage stand-in, as the real storage client meets it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.api_core.exceptions import Conflict, Forbidden
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from scripts.cloud.bucket_contents import stored
from scripts.rehearsal import local_cloud
from scripts.rehearsal.cloud_storage.requested import UnknownRequestError, read_request
from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.services.refusals import ServiceError, refuse_deletion
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.iam.callers import address_as

STEP = "sam-pipeline@p.iam.gserviceaccount.com"
WRITER = "sam-writer@p.iam.gserviceaccount.com"
BUCKET = "front-tests"


def client_of(address: str) -> storage.Client:
    return storage.Client(
        project=None, credentials=AnonymousCredentials(), client_options={"api_endpoint": address}
    )


@pytest.fixture(scope="module")
def operator(cloud: local_cloud.Cloud) -> Iterator[storage.Client]:
    """The owner, with a bucket of two folders: ``STEP`` reads one and keeps the other."""
    client = client_of(cloud.storage_url)
    client.create_bucket(BUCKET, project="p")
    roles = {("in/", STEP): "objectViewer", ("out/", STEP): "objectUser"}
    roles[("out/", WRITER)] = "objectCreator"
    world = World(cloud.world_path)
    with world.open() as contents:
        before, resources = dict(contents["resources"]), contents["resources"]
        resources["google_storage_bucket"] = {
            BUCKET: {"name": BUCKET, "project": "p", "versioning": [{"enabled": True}]}
        }
        resources["google_storage_managed_folder"] = {
            f"{BUCKET}/{name}": {"bucket": BUCKET, "name": name} for name in ("in/", "out/")
        }
        resources["google_storage_managed_folder_iam_member"] = {
            f"{folder} {email}": {
                "bucket": BUCKET, "managed_folder": folder, "condition": [],
                "role": f"roles/storage.{role}", "member": f"serviceAccount:{email}",
            }
            for (folder, email), role in roles.items()
        }  # fmt: skip
    client.bucket(BUCKET).blob("in/a.txt").upload_from_string("hello")
    client.bucket(BUCKET).blob("else/a.txt").upload_from_string("hello")
    yield client
    Objects(cloud.storage_url).delete_bucket(BUCKET)
    with world.open() as contents:
        contents["resources"] = before


@pytest.fixture
def step(cloud: local_cloud.Cloud, operator: storage.Client) -> storage.Client:
    return client_of(address_as(cloud.storage_url, STEP))


def test_account_does_what_its_folders_grant(
    cloud: local_cloud.Cloud, step: storage.Client
) -> None:
    """Also by the addresses of replies, which listings and resumable uploads lead to."""
    stored = f'{{"address": "{cloud.storage_url}"}}'
    step.bucket(BUCKET).blob("out/a.json").upload_from_string(stored, "application/json")
    assert step.bucket(BUCKET).blob("out/a.json").download_as_text() == stored
    listed = list(step.list_blobs(BUCKET, prefix="in/"))
    assert [blob.name for blob in listed] == ["in/a.txt"]
    assert listed[0].download_as_bytes() == b"hello"
    blob = step.bucket(BUCKET).blob("out/large", chunk_size=1 << 18)
    for content in (b"x" * 600_000, b"y" * 600_000):
        blob.upload_from_file(io.BytesIO(content), size=len(content))
    assert step.bucket(BUCKET).blob("out/large").download_as_bytes() == content
    step.bucket(BUCKET).copy_blob(listed[0], step.bucket(BUCKET), "out/a.txt")
    step.bucket(BUCKET).delete_blob("out/a.txt")


@pytest.mark.parametrize(
    ("permission", "call"),
    [
        ("objects.list", lambda c: list(c.list_blobs(BUCKET, prefix="else/"))),
        ("objects.list", lambda c: list(c.list_blobs(BUCKET))),
        ("objects.get", lambda c: c.bucket(BUCKET).blob("else/a.txt").reload()),
        ("objects.get", lambda c: c.bucket(BUCKET).blob("else/a.txt").download_as_bytes()),
        ("objects.create", lambda c: c.bucket(BUCKET).blob("in/b").upload_from_string("x")),
        ("objects.delete", lambda c: c.bucket(BUCKET).delete_blob("in/a.txt")),
        ("buckets.get", lambda c: c.get_bucket(BUCKET)),
        ("buckets.delete", lambda c: c.bucket(BUCKET).delete()),
        ("buckets.create", lambda c: c.create_bucket("another", project="p")),
        ("buckets.list", lambda c: list(c.list_buckets(project="p"))),
    ],
)
def test_account_meets_googles_403(step: storage.Client, permission: str, call: Any) -> None:
    with pytest.raises(Forbidden) as refused:
        call(step)
    assert f"does not have storage.{permission} access" in str(refused.value)
    assert STEP in str(refused.value)


def test_who_may_only_create_cannot_overwrite(
    cloud: local_cloud.Cloud, operator: storage.Client
) -> None:
    writer = client_of(address_as(cloud.storage_url, WRITER))
    writer.bucket(BUCKET).blob("out/once").upload_from_string("1")
    with pytest.raises(Forbidden, match=r"storage\.objects\.delete"):
        writer.bucket(BUCKET).blob("out/once").upload_from_string("2")


def test_versioned_bucket_is_not_empty_when_it_looks_so(
    cloud: local_cloud.Cloud, operator: storage.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user sees it, and as Terraform meets it in a destroy."""
    bucket = operator.bucket(BUCKET)
    for content in ("1", "2"):
        bucket.blob("kept/status").upload_from_string(content)
    bucket.delete_blob("kept/status")
    assert list(operator.list_blobs(BUCKET, prefix="kept/")) == []
    earlier = list(operator.list_blobs(BUCKET, prefix="kept/", versions=True))
    monkeypatch.setattr("scripts.cloud.bucket_contents.storage_client", lambda: operator)
    objects, versions = stored(BUCKET)  # what `sam-vertex cost` counts
    live = len(list(operator.list_blobs(BUCKET)))
    everything = len(list(operator.list_blobs(BUCKET, versions=True)))
    assert (objects.objects, versions.objects) == (live, everything - live)
    assert everything >= live + 2
    assert [blob.name for blob in earlier] == ["kept/status"] * 2
    assert len({blob.generation for blob in earlier}) == 2
    for blob in [*operator.list_blobs(BUCKET), *operator.list_blobs(BUCKET, prefix="kept/")]:
        if not blob.name.startswith(("in/", "else/")):
            bucket.delete_blob(blob.name)
    with pytest.raises(Conflict, match="not empty"):
        bucket.delete()
    world = World(cloud.world_path).read()
    values = {"name": BUCKET, "force_destroy": False}
    with pytest.raises(ServiceError, match="containing objects"):
        refuse_deletion(world, Objects(cloud.storage_url), "google_storage_bucket", values)
    for blob in earlier:
        bucket.delete_blob("kept/status", generation=blob.generation)
    assert list(operator.list_blobs(BUCKET, prefix="kept/", versions=True)) == []


def test_credentials_of_nobody_are_refused(
    cloud: local_cloud.Cloud, operator: storage.Client
) -> None:
    reply = requests.get(
        f"{cloud.storage_url}/storage/v1/b/{BUCKET}/o",
        headers={"Authorization": "Bearer ya29.somebody"}, timeout=10,
    )  # fmt: skip
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, 401)


def test_request_that_nobody_knows_is_not_sent_on() -> None:
    for method, target in (("GET", "/bucket/object"), ("POST", "/storage/v1/b/b/o/a")):
        with pytest.raises(UnknownRequestError):
            read_request(method, target, "", b"")
    read = read_request("GET", "/storage/v1/b/b/o/a?upload_id=1", "", b"")
    assert [need.permission for need in read.needs] == ["storage.objects.get"]
    composed = b'{"sourceObjects": [{"name": "a"}, {"name": "b"}]}'
    needs = read_request("POST", "/storage/v1/b/b/o/c/compose", "", composed).needs
    assert [(need.permission, need.name) for need in needs] == [
        ("storage.objects.get", "a"), ("storage.objects.get", "b"), ("storage.objects.create", "c"),
    ]  # fmt: skip
