"""Every image gets a name of its own that any file system and the run's listings can hold."""

from __future__ import annotations

import pytest

from pipeline.run.image_names import ImageNames, output_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a/../b.png", "a/__/b.png"),
        ("a//b.png", "a/_/b.png"),
        ("/b.png", "_/b.png"),
        (".snap.png", "_snap.png"),
        (".B/..c/x.png", "_B/_.c/x.png"),
        ("...png", "_..png"),
    ],
)
def test_output_name_is_a_plain_path_below_the_output(name: str, safe: str) -> None:
    assert output_name(name) == safe


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x.png", "x.png"),
        ("A.jpg", "a.jpg"),
        ("stra\u00dfe.png", "STRASSE.png"),
        ("e\u0301.png", "\u00e9.png"),
        ("a.jpg", "a.jpg/01.png"),
        ("a.jpg/01.png", "a.jpg"),
        ("a.jpg", "A.JPG/more/01.png"),
        ("a", "a.json/x.png"),
        ("a.png.png/x.png", "a.png"),
    ],
)
def test_names_that_collide_as_files_stay_apart(first: str, second: str) -> None:
    """On a file system without case too; and a file cannot be the folder of another."""
    names = ImageNames()
    assert names.unique(first, "/photos/two") == output_name(first)
    assert names.unique(second, "/photos/two") == f"two/{output_name(second)}"
    assert names.unique(second, "/photos/two") == f"two-2/{output_name(second)}"


def test_names_beside_each_other_are_kept() -> None:
    names = ImageNames()
    plain = ["a.jpg", "a.jpg.jpg", "a/b.jpg", "a/c.jpg", "ab/c.jpg"]
    assert [names.unique(name, "/photos") for name in plain] == plain


def test_folder_that_begins_with_a_dot_gives_no_hidden_name() -> None:
    names = ImageNames()
    names.unique("x.png", "/one")
    assert names.unique("x.png", "/photos/.B") == "_B/x.png"
    assert names.unique("x.png", "/") == "_/x.png"
