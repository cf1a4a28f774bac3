"""A folder is a folder: the same behaviour on this machine and in a bucket."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.storage import (
    Folder,
    StorageError,
    open_folder,
    open_parent,
)


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


def test_folder_writes_and_reads_a_file_line_by_line(folder: Folder) -> None:
    with folder.writing("deep/lines", "text/plain") as file:
        file.writelines(b"%d\n" % number for number in range(3))
        assert not folder.exists("deep/lines")
    assert list(folder.lines("deep/lines")) == [b"0\n", b"1\n", b"2\n"]
    with pytest.raises(ZeroDivisionError), folder.writing("deep/lines", "text/plain") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert folder.read_bytes("deep/lines") == b"0\n1\n2\n"
    with pytest.raises(StorageError, match="nowhere") as missing:
        list(folder.lines("nowhere"))
    assert missing.value.missing


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


def test_folder_download_copies_a_file(folder: Folder, tmp_path: Path) -> None:
    folder.write_bytes("x", b"content", "text/plain")
    folder.download("x", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content"


def test_folder_missing_file_is_a_storage_error_that_names_it(folder: Folder) -> None:
    with pytest.raises(StorageError, match="missing"):
        folder.read_bytes("missing")
    with pytest.raises(StorageError, match="missing"):
        folder.digest("missing")


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
