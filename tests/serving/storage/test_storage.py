"""A folder is a folder: the same behaviour on this machine and in a bucket."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.storage import (
    BucketError,
    Folder,
    FullDiskError,
    LocalFolder,
    Patience,
    StorageError,
    open_folder,
    open_parent,
)
from serving.storage.client import storage_client


@pytest.fixture(params=["local", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "local":
        return open_folder(str(tmp_path / "folder"))
    bucket: Callable[[str], str] = request.getfixturevalue("bucket")
    return open_folder(bucket("some/folder"))


def test_folder_reads_back_what_was_written(folder: Folder) -> None:
    assert not folder.exists("a/b.txt")
    folder.write_bytes("a/b.txt", b"one", "text/plain")
    folder.write_bytes("a/b.txt", b"two", "text/plain")
    assert folder.exists("a/b.txt")
    assert folder.read_bytes("a/b.txt") == b"two"
    assert folder.uri_of("a/b.txt").endswith("folder/a/b.txt")


def test_folder_lists_by_name_without_hidden_files(folder: Folder) -> None:
    for name in ("b.txt", "a/2.txt", "a/1.txt", ".run/plan.json", "a/.hidden"):
        folder.write_bytes(name, b"xyz", "text/plain")
    assert sorted(file.name for file in folder.files()) == ["a/1.txt", "a/2.txt", "b.txt"]
    assert {file.size_bytes for file in folder.files()} == {3}
    assert [file.name for file in folder.files("a/")] == ["a/1.txt", "a/2.txt"]
    assert [file.name for file in folder.files(".run/")] == [".run/plan.json"]  # asked for by name


def test_folder_digest_is_the_contents_md5(folder: Folder) -> None:
    folder.write_bytes("x", b"content", "text/plain")
    assert folder.digest("x") == "md5:" + hashlib.md5(b"content").hexdigest()


def test_folder_write_from_moves_a_file(folder: Folder, tmp_path: Path) -> None:
    source = tmp_path / "ready"
    source.write_bytes(b"long")
    folder.write_from("deep/name", source, "text/plain")
    assert folder.read_bytes("deep/name") == b"long"
    assert not source.exists()


def test_folder_delete_folder_leaves_neighbours(folder: Folder) -> None:
    for name in ("a/1", "a/b/2", "ab/3"):
        folder.write_bytes(name, b"x", "text/plain")
    folder.delete_folder("a")
    folder.delete_folder("never-there")
    assert [file.name for file in folder.files()] == ["ab/3"]


def test_folder_delete_removes_one_file(folder: Folder) -> None:
    for name in ("a", "ab"):
        folder.write_bytes(name, b"x", "text/plain")
    folder.delete("a")
    folder.delete("a")
    assert [file.name for file in folder.files()] == ["ab"]


def test_folder_calls_before_every_write_and_writes_nothing_where_that_refuses(
    folder: Folder, tmp_path: Path
) -> None:
    folder.write_bytes("a/x", b"old", "text/plain")
    source = tmp_path / "source"
    source.write_bytes(b"new")

    def refuse() -> None:
        raise PermissionError("not now")

    folder.before_write = refuse
    for write in (
        lambda: folder.write_bytes("a/x", b"new", "text/plain"),
        lambda: folder.write_from("a/x", source, "text/plain"),
        lambda: folder.upload("a/x", source, "text/plain"),
        lambda: folder.create("a/y", b"new"),
        lambda: folder.delete("a/x"),
        lambda: folder.delete_folder("a"),
    ):
        with pytest.raises(PermissionError):
            write()
    assert folder.read_bytes("a/x") == b"old"
    assert [file.name for file in folder.files()] == ["a/x"]


def test_local_delete_of_a_generation_spares_a_later_one(tmp_path: Path) -> None:
    """The storage stand-in deletes any; ``test_claim_races`` has what a bucket does."""
    folder = LocalFolder(tmp_path)
    folder.write_bytes("x", b"one", "text/plain")
    first = folder.stat("x")
    folder.write_bytes("x", b"two", "text/plain")
    second = folder.stat("x")
    assert first is not None and second is not None
    folder.delete("x", generation=first.generation)
    assert folder.exists("x")
    folder.delete("x", generation=second.generation)
    assert not folder.exists("x")


def test_folder_download_copies_a_file(folder: Folder, tmp_path: Path) -> None:
    folder.write_bytes("x", b"content", "text/plain")
    folder.download("x", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\0b"])
def test_local_name_outside_is_refused(tmp_path: Path, name: str) -> None:
    """In a bucket these are names, see ``test_object_names``."""
    with pytest.raises(StorageError, match="below the folder"):
        open_folder(str(tmp_path)).read_bytes(name)


def test_folder_missing_file_is_a_storage_error_that_names_it(folder: Folder) -> None:
    with pytest.raises(StorageError, match="missing"):
        folder.read_bytes("missing")
    with pytest.raises(StorageError, match="missing"):
        folder.digest("missing")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_local_write_that_fails_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A full disk in the middle of a write costs nothing that was finished; it is nobody's fault.

    A full table of files answers as a full disk does.
    """
    folder = LocalFolder(tmp_path)
    folder.write_bytes("x", b"old", "text/plain")

    def full(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FullDiskError, match=os.strerror(number)) as caught:
        folder.write_bytes("x", b"new", "text/plain")
    assert not caught.value.callers_fault
    assert "df -i" in caught.value.hint
    assert folder.read_bytes("x") == b"old"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x"]


def test_local_folder_writes_and_removes_nothing_through_a_link(tmp_path: Path) -> None:
    """Neither a link to a folder nor one to a file leads out of it; the folder may be a link."""
    (tmp_path / "elsewhere" / "sub").mkdir(parents=True)
    precious = tmp_path / "elsewhere" / "precious"
    precious.write_text("precious")
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    folder = LocalFolder(tmp_path / "out")
    (tmp_path / "real" / "masks").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "real" / "annotations.json").symlink_to(precious)
    (tmp_path / "finished").write_text("new")
    acts: list[Callable[[], object]] = [
        lambda: folder.write_bytes("masks/precious", b"new", "text/plain"),
        lambda: folder.write_from("masks/precious", tmp_path / "finished", "text/plain"),
        lambda: folder.upload("masks/precious", tmp_path / "finished", "text/plain"),
        lambda: folder.create("masks/new", b"new"),
        lambda: folder.delete("masks/precious"),
        lambda: folder.delete_folder("masks/sub"),
        lambda: folder.delete_folder("masks"),
    ]
    for act in acts:
        with pytest.raises(StorageError, match="link"):
            act()
    folder.write_bytes("annotations.json", b"new", "text/plain")
    assert folder.read_bytes("annotations.json") == b"new"
    assert precious.read_text() == "precious"
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["precious", "sub"]


def in_process_without_privileges(program: str, *arguments: str) -> str:
    """Run Python where file modes count, even for root; return what it prints."""
    drop = """
import ctypes, os, sys
if hasattr(ctypes.CDLL(None), "capset"):
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert os.getuid() or not ctypes.CDLL(None).capset(header, none)
"""
    return subprocess.run(
        [sys.executable, "-c", drop + program, *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_local_folder_that_may_not_be_read_is_an_error_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "b.png").write_bytes(b"x")
    program = """
from serving.storage import StorageError, open_folder
try:
    print([file.name for file in open_folder(sys.argv[1]).files()])
except StorageError as error:
    print("StorageError", error)
"""
    for mode in (0o000, 0o444):  # the second lists names, and nothing of the files
        closed.chmod(mode)
        try:
            printed = in_process_without_privileges(program, str(tmp_path))
        finally:
            closed.chmod(0o755)
        assert printed.startswith(f"StorageError {closed}")
        assert "Permission denied" in printed


def test_local_file_below_a_closed_folder_is_a_storage_error(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    program = """
from serving.storage import StorageError, open_folder
for ask in ("exists", "stat"):
    try:
        print(getattr(open_folder(sys.argv[1]), ask)("x"))
    except StorageError as error:
        print("StorageError", error)
"""
    printed = in_process_without_privileges(program, str(closed)).splitlines()
    assert [line.startswith(f"StorageError {closed}/x: ") for line in printed] == [True, True]


def test_local_name_too_long_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="too long"):
        open_folder(str(tmp_path)).exists("x" * 300)


def test_local_listing_leaves_out_what_is_no_file_and_what_has_gone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c").symlink_to(tmp_path / "c")
    os.mkfifo(tmp_path / "d")
    (tmp_path / "e").write_bytes(b"x")
    listing = open_folder(str(tmp_path)).files()
    assert next(listing).name == "a"
    (tmp_path / "e").unlink()
    assert list(listing) == []
    assert list(open_folder(str(tmp_path)).files("never/there/")) == []


def test_open_folder_unknown_scheme_is_refused() -> None:
    with pytest.raises(StorageError, match="gs://"):
        open_folder("s3://bucket/x")
    with pytest.raises(StorageError, match="gs://bucket"):
        open_folder("gs://")


def test_stat_tells_size_and_a_generation_that_changes_with_every_write(folder: Folder) -> None:
    assert folder.stat("x") is None
    folder.write_bytes("x", b"one", "text/plain")
    first = folder.stat("x")
    folder.write_bytes("x", b"three", "text/plain")
    second = folder.stat("x")
    assert first is not None and second is not None
    assert (first.size_bytes, second.size_bytes) == (3, 5)
    assert first.generation != second.generation
    assert 0 not in (first.generation, second.generation)


def test_create_writes_only_over_the_generation_that_it_names(folder: Folder) -> None:
    assert folder.create("x", b"one")
    assert not folder.create("x", b"two")
    stored = folder.stat("x")
    assert stored is not None
    assert folder.create("x", b"two", replacing=stored.generation)
    assert not folder.create("x", b"three", replacing=stored.generation)
    assert folder.read_bytes("x") == b"two"


def test_files_without_the_nested_ones(folder: Folder) -> None:
    for name in ("a", "b/c", "b/d/e"):
        folder.write_bytes(name, b"x", "text/plain")
    assert [file.name for file in folder.files(nested=False)] == ["a"]
    assert [file.name for file in folder.files("b/", nested=False)] == ["b/c"]


def test_upload_copies_a_file_and_reports_progress(folder: Folder, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(os.urandom(3_000_000))
    steps: list[tuple[int, int]] = []
    folder.upload("deep/x", source, "text/plain", metadata={"a": "b"},
                  progress=lambda sent, total: steps.append((sent, total)))  # fmt: skip
    assert folder.read_bytes("deep/x") == source.read_bytes()
    assert steps[-1] == (3_000_000, 3_000_000)


def test_open_parent_splits_folder_and_name(folder: Folder) -> None:
    folder.write_bytes("a/x.txt", b"x", "text/plain")
    parent, name = open_parent(folder.uri_of("a/x.txt"))
    assert name == "x.txt"
    assert parent.uri == folder.uri_of("a")
    assert parent.read_bytes(name) == b"x"


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
