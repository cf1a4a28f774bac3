"""Which files a run takes, what they are called, and which prompts belong to them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunError, RunParameters, fingerprint
from serving.sam.errors import ParameterError, PromptError
from serving.storage import open_folder


def parameters(*inputs: Path | str, **values: Any) -> RunParameters:
    values.setdefault("output", "/nowhere/out")
    return RunParameters(inputs=tuple(str(path) for path in inputs), **values)


def names(run: RunParameters) -> list[str]:
    return [image.name for image in find_images(run)]


def test_find_images_takes_images_of_subfolders_by_name(image_folder: Path) -> None:
    (image_folder / "notes.txt").write_text("no image")
    (image_folder / ".hidden.png").write_bytes(b"")
    (image_folder / "UPPER.PNG").write_bytes(b"")
    assert names(parameters(image_folder)) == ["UPPER.PNG", "a.png", "b.jpg", "more/c.webp"]


def test_find_images_a_named_file_is_taken_whatever_its_suffix(image_folder: Path) -> None:
    odd = image_folder / "picture.dat"
    Image.new("RGB", (4, 4)).save(odd, "PNG")
    assert names(parameters(odd, image_folder / "a.png")) == ["a.png", "picture.dat"]


def test_a_named_file_that_is_no_image_is_refused_before_a_run_begins(image_folder: Path) -> None:
    text = image_folder / "notes.txt"
    text.write_text("no image")
    with pytest.raises(RunError, match=r"notes\.txt: not an image, by its name or its") as refusal:
        names(parameters(image_folder, text))
    assert "JPEG" in refusal.value.hint


def test_find_images_counts_what_it_leaves_out_by_kind(image_folder: Path) -> None:
    for name in ("a.ARW", "b.arw", "c", "more/d.mov", ".hidden"):
        (image_folder / name).write_bytes(b"")
    lines: list[str] = []
    find_images(parameters(image_folder), lines.append)
    assert lines == [
        "left out files that are not images by their names: 2 .arw, 1 without an ending, 1 .mov"
    ]
    (image_folder / "d.jpg").symlink_to("nowhere.jpg")
    find_images(parameters(image_folder), lines.append)
    assert lines[1] == "left out 1 link to a file that is not there"
    (image_folder / "texts").mkdir()
    (image_folder / "texts" / "a.txt").write_text("")
    with pytest.raises(RunError, match=r"no images found; .*, found 1 \.txt"):
        find_images(parameters(image_folder / "texts"))


@pytest.mark.parametrize("given", ["", "  "])
def test_an_empty_input_is_not_the_current_folder(given: str) -> None:
    """As ``sam-vertex run "$PHOTOS"`` gives it where the variable is not set."""
    with pytest.raises(ParameterError, match="INPUT is empty") as refusal:
        parameters("a.jpg", given)
    assert "variable of your shell" in refusal.value.hint


def test_find_images_leaves_out_its_own_output(image_folder: Path) -> None:
    """``run photos --output photos/out`` does not segment its own pictures the second time."""
    out = image_folder / "out"
    out.mkdir()
    Image.new("RGB", (4, 4)).save(out / "overlay.png")
    assert names(parameters(image_folder, output=str(out))) == ["a.png", "b.jpg", "more/c.webp"]


def test_find_images_same_names_of_two_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ("one", "two", "three/two"):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / folder / "x.png")
    run = parameters(tmp_path / "one", tmp_path / "two", tmp_path / "three" / "two")
    assert names(run) == ["two-2/x.png", "two/x.png", "x.png"]


def test_find_images_takes_a_file_given_twice_once(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(image_folder)
    once = ["a.png", "b.jpg", "more/c.webp"]
    assert names(parameters(image_folder, image_folder)) == once
    assert names(parameters(image_folder, f"{image_folder}/more/..")) == once
    assert names(parameters(image_folder, tmp_path / "link")) == once
    assert names(parameters(image_folder, image_folder / "a.png")) == once
    assert names(parameters(image_folder / "more", image_folder)) == ["a.png", "b.jpg", "c.webp"]


def test_find_images_takes_an_object_given_twice_once(bucket: Callable[[str], str]) -> None:
    folder = open_folder(bucket("images"))
    for name in ("a.png", "more/c.png"):
        folder.write_bytes(name, b"x", "image/png")
    run = parameters(bucket("images"), bucket("images/"), bucket("images/a.png"), bucket(""))
    assert names(run) == ["a.png", "more/c.png"]


def test_find_images_hidden_name_is_computed_once_and_keeps_its_prompts(
    image_folder: Path, tmp_path: Path
) -> None:
    """The listing of masks leaves out hidden files, so the image would never be done."""
    hidden = (image_folder / "a.png").rename(image_folder / ".snap.png")
    path = prompts_file(tmp_path, {".snap.png": {"1": [[10, 10]]}})
    images = find_images(parameters(hidden, image_folder, prompts=path))
    assert [image.name for image in images] == ["_snap.png", "b.jpg", "more/c.webp"]
    assert len(images[0].prompts) == 1


def test_find_images_of_a_bucket(bucket: Callable[[str], str], image_folder: Path) -> None:
    folder = open_folder(bucket("images"))
    for path in sorted(image_folder.rglob("*.*")):
        name = path.relative_to(image_folder).as_posix()
        folder.write_bytes(name, path.read_bytes(), "image/png")
    assert names(parameters(bucket("images"))) == ["a.png", "b.jpg", "more/c.webp"]
    assert names(parameters(bucket("images/a.png"))) == ["a.png"]
    with pytest.raises(RunError, match="no such object"):
        names(parameters(bucket("images/z.png")))


def test_find_images_nothing_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"empty: no images found; expected files ending in .jpg"):
        names(parameters(tmp_path / "empty"))
    with pytest.raises(RunError, match="missing: no such file or folder"):
        names(parameters(tmp_path / "missing"))


def prompts_file(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(content), "utf-8")
    return str(path)


def test_find_images_gives_each_image_its_prompts(image_folder: Path, tmp_path: Path) -> None:
    path = prompts_file(tmp_path, {"a.png": {"1": [[10, 10]]}, "c.webp": [[5, 5], [1]]})
    images = find_images(parameters(image_folder, prompts=path))
    assert [len(image.prompts) for image in images] == [1, 0, 1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"z.png": {"1": [[1, 1]]}}, r"prompts\['z.png'\]: no such image among the 3 inputs"),
        ({"a.png": {"1": [[200, 10]]}}, r"\[200, 10\] lies outside; the image is 200 x 150"),
        ({"b.jpg": [{"box": [0, 0, 10, 161]}]}, "lies outside; the image is 120 x 160"),
        ({"a.png": {"7": [[1, 1]]}}, "label must be"),
        ([], "one JSON object"),
    ],
    ids=["unknown", "point-outside", "box-outside", "label", "list"],
)
def test_find_images_wrong_prompts_are_named(
    image_folder: Path, tmp_path: Path, content: Any, reason: str
) -> None:
    with pytest.raises(PromptError, match=reason):
        find_images(parameters(image_folder, prompts=prompts_file(tmp_path, content)))


def test_find_images_short_name_of_two_images_is_refused(
    image_folder: Path, tmp_path: Path
) -> None:
    for folder in ("x", "y"):
        (image_folder / folder).mkdir()
        Image.new("RGB", (4, 4)).save(image_folder / folder / "same.png")
    wrong = prompts_file(tmp_path, {"same.png": {"1": [[1, 1]]}})
    with pytest.raises(PromptError, match=r"fits x/same.png and y/same.png"):
        find_images(parameters(image_folder, prompts=wrong))
    right = prompts_file(tmp_path, {"y/same.png": {"1": [[1, 1]]}})
    images = find_images(parameters(image_folder, prompts=right))
    assert [image.name for image in images if image.prompts] == ["y/same.png"]


def test_find_images_prompts_of_a_broken_image_do_not_end_the_run(
    image_folder: Path, tmp_path: Path
) -> None:
    (image_folder / "broken.png").write_bytes(b"no image")
    path = prompts_file(tmp_path, {"broken.png": {"1": [[1, 1]]}})
    assert len(find_images(parameters(image_folder, prompts=path))) == 4


def test_find_images_missing_prompts_file_is_named(image_folder: Path) -> None:
    with pytest.raises(RunError, match=r"prompts file /no/where.json: .*No such file"):
        find_images(parameters(image_folder, prompts="/no/where.json"))


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"shards": 0}, "shards"),
        ({"max_masks": 0}, "max_masks"),
        ({"precision": "fp64"}, "precision"),
        ({"points_per_side": 0}, "points_per_side"),
        ({"pred_iou_thresh": 2.0}, "pred_iou_thresh"),
        ({"stability_score_thresh": -1.0}, "stability_score_thresh"),
        ({"max_failed": 1.5}, "max_failed"),
    ],
)
def test_run_parameters_outside_their_range_are_named(values: dict[str, Any], name: str) -> None:
    with pytest.raises(ParameterError, match=name.replace("_", "-")):
        parameters("x", **values)
    with pytest.raises(ParameterError, match="inputs"):
        parameters()


def test_run_parameters_travel_as_json() -> None:
    run = parameters("a", "b", shards=3, pred_iou_thresh=0.5)
    assert RunParameters.from_json(run.to_json()) == run


def test_fingerprint_depends_on_content_not_on_order() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
