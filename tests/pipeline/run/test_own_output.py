"""A run never segments what it wrote itself, however its folders are spelled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunError, RunParameters
from serving.storage import open_folder


def names(folder: Path | str, output: Path | str) -> list[str]:
    return [
        image.name
        for image in find_images(RunParameters(inputs=(str(folder),), output=str(output)))
    ]


def write_output(output: Path) -> None:
    """Pictures as a run leaves them."""
    for name in ("overlays/a.png.png", "segments/a.png/00.png", "segments/a.png/01.png"):
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)


@pytest.mark.parametrize("spelling", ["images", "more/..", "./", "link"])
def test_output_that_is_the_input_is_refused(image_folder: Path, spelling: str) -> None:
    (image_folder.parent / "link").symlink_to(image_folder)
    spellings: dict[str, Path | str] = {
        "images": image_folder,
        "more/..": image_folder / "more" / "..",
        "./": f"{image_folder}/./",
        "link": image_folder.parent / "link",
    }
    output = spellings[spelling]
    with pytest.raises(RunError, match="is the input folder itself"):
        names(image_folder, output)
    with pytest.raises(RunError, match="is the input folder itself"):
        names(output, image_folder)


@pytest.mark.parametrize("spelling", ["plain", "..", "link"])
def test_output_below_the_input_is_left_out(image_folder: Path, spelling: str) -> None:
    out = image_folder / "out"
    write_output(out)
    (image_folder.parent / "link").symlink_to(image_folder)
    (image_folder / "shortcut.png").symlink_to(out / "overlays" / "a.png.png")
    output = {
        "plain": out,
        "..": image_folder / "more" / ".." / "out",
        "link": image_folder.parent / "link" / "out",
    }[spelling]
    assert names(image_folder, output) == ["a.png", "b.jpg", "more/c.webp"]
    folder = image_folder.parent / "link" if spelling == "plain" else image_folder
    assert names(folder, output) == ["a.png", "b.jpg", "more/c.webp"]


def test_input_below_the_output_is_taken_unless_the_run_wrote_it(image_folder: Path) -> None:
    output = image_folder.parent
    write_output(output)
    assert names(image_folder, output) == ["a.png", "b.jpg", "more/c.webp"]
    link = image_folder / "link"
    link.symlink_to(output / "overlays")
    for own in (output / "overlays", image_folder / ".." / "segments" / "a.png", link):
        with pytest.raises(RunError, match="written by a run to this output"):
            names(own, output)
    with pytest.raises(RunError, match="written by a run to this output"):
        names(output / "overlays" / "a.png.png", output)


def test_output_of_a_bucket_is_compared_as_an_object_name(bucket: Callable[[str], str]) -> None:
    folder = open_folder(bucket(""))
    for name in ("photos/a.png", "photos/out/overlays/a.png.png", "photos/out-2/b.png"):
        folder.write_bytes(name, b"x", "image/png")
    for output in (bucket("photos"), bucket("photos/")):
        with pytest.raises(RunError, match="is the input folder itself"):
            names(bucket("photos"), output)
    assert names(bucket("photos/"), bucket("photos/out/")) == ["a.png", "out-2/b.png"]
    assert names(bucket("photos"), bucket("")) == ["a.png", "out-2/b.png", "out/overlays/a.png.png"]
    for own in (bucket("photos/out/overlays"), bucket("photos/out/overlays/a.png.png")):
        with pytest.raises(RunError, match="written by a run to this output"):
            names(own, bucket("photos/out"))


@pytest.mark.parametrize("where", ["local", "bucket"])
@pytest.mark.parametrize("trace", ["manifest.jsonl", ".run/plan.json", ".run.lock"])
def test_pictures_of_another_run_are_left_out_with_a_line(
    where: str, trace: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Also those of a run that was killed before its report, or before its plan."""
    uri = request.getfixturevalue("bucket")("") if where == "bucket" else str(tmp_path)
    folder = open_folder(uri)
    for name in ("photos/a.png", "photos/overlays/b.png", "photos/old/c.png"):
        folder.write_bytes(name, b"x", "image/png")
    for name in ("overlays/a.png.png", "segments/overlays/a.png/00.png"):
        folder.write_bytes(f"photos/old/{name}", b"x", "image/png")
    folder.write_bytes(f"photos/old/{trace}", b"x", "text/plain")
    lines: list[str] = []
    run = RunParameters(inputs=(f"{uri}/photos",), output=f"{uri}/photos/new")
    taken = [image.name for image in find_images(run, lines.append)]
    assert taken == ["a.png", "old/c.png", "overlays/b.png"]
    assert lines == [f"left out 2 pictures that an earlier run wrote to {uri}/photos/old"]
    asked_for = RunParameters(inputs=(f"{uri}/photos/old/overlays",), output=f"{uri}/photos/new")
    assert [image.name for image in find_images(asked_for)] == ["a.png.png"]
