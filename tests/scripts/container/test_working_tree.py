"""An image's tag names the commit, and tells every change of the working tree from every other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.container import programs, working_tree
from scripts.container.working_tree import WorkingTree
from tests.scripts.container.conftest import Install


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one committed file, which the module under test takes for its own."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "a.py").write_text("1\n")
    (folder / ".gitignore").write_text("ignored\n")
    author = ("-c", "user.name=n", "-c", "user.email=e@example.com")
    for command in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    monkeypatch.setattr(programs, "ROOT", folder)
    monkeypatch.setattr(working_tree, "ROOT", folder)
    return folder


def test_clean_tree_is_tagged_with_its_revision(checkout: Path) -> None:
    (checkout / "ignored").write_text("anything")
    tree = WorkingTree.of_checkout()
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=checkout, text=True)
    assert not tree.dirty
    assert tree.tag() == tree.revision == head[:12]


def test_a_saved_setting_makes_no_other_tree(checkout: Path) -> None:
    """Building the image saves its address in cdktf.json; the next build is of the same tree."""
    (checkout / "cdktf.json").write_text('{"context": {"image": "a"}}')
    assert not WorkingTree.of_checkout().dirty


def test_two_different_trees_never_share_a_tag(checkout: Path) -> None:
    """A known file may differ, a binary one, or the content of a file that git does not know."""

    def tag() -> str:
        tree = WorkingTree.of_checkout()
        assert tree.dirty
        assert tree.tag().startswith(f"{tree.revision}-dirty-")
        return tree.tag()

    tags = []
    for name, content in (
        ("a.py", b"2\n"),
        ("a.py", b"\xff\xfe\x00"),
        ("a.py", b"\xff\xfe\x01"),
        ("new.py", b"one"),
        ("new.py", b"two"),
        ("folder/new.py", b"two"),
    ):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_bytes(content)
        tags.append(tag())
        assert tags[-1] == tag()
    (checkout / "link").symlink_to("new.py")
    tags.append(tag())
    assert len(set(tags)) == len(tags)


def test_warning_of_git_does_not_become_the_revision(checkout: Path, install: Install) -> None:
    expected = WorkingTree.of_checkout()
    git = subprocess.check_output(["sh", "-c", "command -v git"], text=True).strip()
    install("git", f"echo 'warning: something' >&2; exec {git} \"$@\"")
    assert WorkingTree.of_checkout() == expected
