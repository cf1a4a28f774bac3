"""A folder of this machine: links, permissions, full disks and names that leave it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.storage import (
    FullDiskError,
    LocalFolder,
    StorageError,
    open_folder,
)


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


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\0b"])
def test_local_name_outside_is_refused(tmp_path: Path, name: str) -> None:
    """In a bucket these are names, see ``test_object_names``."""
    with pytest.raises(StorageError, match="below the folder"):
        open_folder(str(tmp_path)).read_bytes(name)


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
