"""One checkpoint is found by its folder or its name; none and several are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.releases.checkpoints import find_checkpoint
from scripts.terminal.errors import OperatorError


def test_checkpoint_is_found_by_folder_and_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"weights")
    (tmp_path / "notes.txt").write_bytes(b"")
    by_folder, by_name = find_checkpoint(f"{tmp_path}/"), find_checkpoint(f"{tmp_path}/a.pth")
    assert by_folder == by_name
    assert (by_folder.folder, by_folder.file_name) == (str(tmp_path), "a.pth")
    assert by_folder.digest.startswith("md5:")


def test_folder_without_one_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="found none") as caught:
        find_checkpoint(str(tmp_path))
    assert "upload it first" in caught.value.hint
    for name in ("a.pth", "b.pt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(OperatorError, match=r"found a.pth, b.pt") as caught:
        find_checkpoint(str(tmp_path))
    assert "name the file" in caught.value.hint
    assert find_checkpoint(f"{tmp_path}/b.pt").file_name == "b.pt"
