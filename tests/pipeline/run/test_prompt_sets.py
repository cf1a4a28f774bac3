"""Boxes of COCO, YOLO and CSV files become prompts with categories; every mistake has a place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.run.input_images import InputImage, find_images
from pipeline.run.parameters import RunParameters
from pipeline.run.prompt_sets.prompt_set import own_form
from pipeline.run.prompt_sets.reading import read_prompts
from pipeline.steps.plan_shards import plan_shards
from serving.sam.errors import PromptError
from serving.sam.prompts import Prompt
from serving.storage import open_folder

Found = dict[str, tuple[Prompt, ...]]


def box(x0: float, y0: float, x1: float, y1: float, category: str, **values: Any) -> Prompt:
    return Prompt(box_xyxy=(x0, y0, x1, y1), category=category, **values)


def found(images: Path | str, prompts: Path | str, lines: list[str] | None = None) -> Found:
    run = RunParameters(inputs=(str(images),), output="/nowhere/out", prompts=str(prompts))
    return {
        image.name: image.prompts
        for image in find_images(run, (lines if lines is not None else []).append)
    }


def coco(**changes: Any) -> dict[str, Any]:
    """Two apples on a.png (200 x 150), of which one is a crowd, and a pear on c.webp."""
    return {
        "images": [
            {"id": 7, "file_name": "train/a.png", "width": 200, "height": 150},
            {"id": 9, "file_name": "c.webp", "width": 96, "height": 96},
            {"id": 11, "file_name": "b.jpg", "width": 120, "height": 160},
        ],
        "annotations": [
            {
                "image_id": 7,
                "category_id": 44,
                "bbox": [20, 30, 60, 61],
                "keypoints": [50, 60, 2, 9, 9, 0, 1, 1, 1],
            },
            {"image_id": 7, "category_id": 44, "bbox": [0, 0, 200, 150], "iscrowd": 1},
            {"image_id": 9, "category_id": 3, "bbox": [40, 60, 56.4, 30]},
        ],
        "categories": [{"id": 44, "name": "apple", "supercategory": "fruit"},
                       {"id": 3, "name": "pear"}],
    } | changes  # fmt: skip


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_coco_boxes_keypoints_and_categories(image_folder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    file = write(tmp_path / "boxes.json", coco())
    assert found(image_folder, file, lines) == {
        "a.png": (box(20, 30, 80, 91, "apple", points=((50.0, 60.0),), labels=(1,)),),
        "more/c.webp": (box(40, 60, 96, 90, "pear"),),  # reached 0.4 pixels beyond the image
    }
    assert lines == ["left out 1 image without boxes"]
    assert [(c.id, c.name) for c in read_prompts(str(file)).categories] == [
        (3, "pear"),
        (44, "apple"),
    ]


def test_csv_boxes(image_folder: Path, tmp_path: Path) -> None:
    table = "category,file,x0,y0,x1,y1\r\npear,c.webp,1,2,30,40.5\r\n,a.png,0,0,200.5,150\r\n"
    assert found(image_folder, write(tmp_path / "boxes.csv", "\ufeff" + table)) == {
        "a.png": (box(0, 0, 200, 150, ""),),
        "more/c.webp": (box(1, 2, 30, 40.5, "pear"),),
    }
    spaced = "file, x0, y0, x1, y1, category\nc.webp, 1, 2, 30, 40.5, pear\n"  # typed by hand
    assert found(image_folder, write(tmp_path / "spaced.csv", spaced)) == {
        "more/c.webp": (box(1, 2, 30, 40.5, "pear"),),
    }


def yolo(root: Path, names: str = "names: [pear, apple]") -> Path:
    """Ultralytics' layout: a labelled image in train and one in val, called the same."""
    for split, size in (("train", (200, 100)), ("val", (50, 50))):
        (root / "images" / split).mkdir(parents=True)
        Image.new("RGB", size).save(root / "images" / split / "x.png")
        write(root / "labels" / split / "x.txt", "1 0.5 0.5 0.2 0.4\n\n0 0.1 0.2 0.2 0.4\n")
    write(root / "labels" / "train" / "background.txt", "")
    return write(root / "data.yaml", f"path: .\n{names}\n")


def test_yolo_folder(tmp_path: Path) -> None:
    data = yolo(tmp_path / "yolo")
    train = (box(80, 30, 120, 70, "apple"), box(0, 0, 40, 40, "pear"))
    val = (box(20, 15, 30, 35, "apple"), box(0, 0, 10, 20, "pear"))
    both = {"train/x.png": train, "val/x.png": val}
    rounded = [{name: _rounded(p) for name, p in found(images, prompts).items()}
               for images, prompts in ((data.parent / "images", data),
                                       (data.parent / "images", data.parent))]  # fmt: skip
    assert rounded == [both, both]
    lines: list[str] = []
    one = found(data.parent / "images" / "val", data, lines)
    assert {name: _rounded(p) for name, p in one.items()} == {"x.png": val}
    assert len(lines) == 1 and "1 file not among the inputs" in lines[0]


def test_yolo_detections_come_with_confidences_and_from_windows(tmp_path: Path) -> None:
    data = yolo(tmp_path / "yolo")
    path = tmp_path / "yolo" / "labels" / "val" / "x.txt"
    path.write_bytes("\ufeff1 0.5 0.5 0.2 0.4 0.875\r\n".encode())
    one = found(data.parent / "images" / "val", data)
    assert {name: _rounded(p) for name, p in one.items()} == {
        "x.png": (box(20, 15, 30, 35, "apple"),)
    }


def _rounded(prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
    rounded = []
    for prompt in prompts:
        assert prompt.box_xyxy is not None
        x0, y0, x1, y1 = (round(value, 6) for value in prompt.box_xyxy)
        rounded.append(box(x0, y0, x1, y1, prompt.category))
    return tuple(rounded)


def test_yolo_of_a_bucket_with_labels_beside_images(
    bucket: Callable[[str], str], tmp_path: Path
) -> None:
    folder = open_folder(bucket("set"))
    Image.new("RGB", (10, 10)).save(tmp_path / "x.png")
    folder.write_bytes("train/images/x.png", (tmp_path / "x.png").read_bytes(), "image/png")
    folder.write_bytes("train/labels/x.txt", b"1 0.5 0.5 1 1", "text/plain")
    folder.write_bytes("data.yaml", b"names: {0: pear, 1: apple}", "text/yaml")
    for prompts in ("set/data.yaml", "set/"):
        assert found(bucket("set"), bucket(prompts)) == {
            "train/images/x.png": (box(0, 0, 10, 10, "apple"),)
        }


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", [{"image_id": 1, "bbox": [1, 2, 3, 4]}], "COCO results name no files"),
        ("a.json", coco(images=None), r"images: expected a list of objects"),
        ("a.json", coco(images=[{"id": 7}, {"id": 7}]), r"images\[1\].id: .* no other has, got 7"),
        ("a.json", coco(categories=[]), r"annotations\[0\].category_id: expected one of the 0"),
        ("a.json", coco(categories=[{"id": 44, "name": " x"}]), r"categories\[0\].name: category"),
        ("a.json", coco(annotations=[{"image_id": 8}]), r"annotations\[0\].image_id: .* got 8"),
        ("a.json", coco(annotations=[{"image_id": 7, "category_id": 3}]),
         r"annotations\[0\].bbox: expected \[x, y, width, height\], got null"),
        ("a.json", coco(annotations=[{"image_id": 7, "category_id": 3, "bbox": [1, 2, 0, 4]}]),
         r"width and a height above 0, got \[1, 2, 0, 4\]; remove"),
        ("a.json", coco(annotations=[{"image_id": 7, "category_id": 3, "bbox": [500, 0, 9, 9]}]),
         r"annotations\[0\]: box \[500, 0, 509, 9\] lies outside"),
        ("a.json", coco(images=[{"id": 7, "file_name": "a.png", "width": 150, "height": 200},
                                {"id": 9, "file_name": "c.webp"}]),
         r"a.png has 150 x 200 pixels, and the image has 200 x 150 \(turned upright"),
        ("a.csv", "a.png,1,2,3,4\n", r"line 1: no column 'file'; expected the columns file,x0"),
        ("a.csv", "file,x0,y0,x1,y1\na.png,1,2,3\n", "line 2: expected 5 values"),
        ("a.csv", "file,x0,y0,x1,y1\na.png,1,2,3,4,5\n", "line 2: expected 5 values"),
        ("a.csv", "file,x0,y0,x1,y1\na.png,1,2,x,4\n", "line 2: x1: expected a finite number"),
        ("a.csv", "file,x0,y0,x1,y1\na.png,9,2,3,4\n", "line 2: box must be .* x0 < x1"),
        ("a.csv", "file,x0,y0,x1,y1\na.png,1,2,3,400\n", r"line 2: box .* lies outside"),
        ("a.csv", "file,x0,y0,x1,y1\nz.png,1,2,3,4\n", "line 2: no such image among .* 'z.png'"),
        ("a.csv", "file,x0,y0,x1,y1\n,1,2,3,4\n", "line 2: file: expected the name of an image"),
        ("a.csv", "file,x0,y0,x1,y1\n", "no box in it, so there is nothing to segment"),
        ("a.json", coco(annotations=[]), "no box in it"),
        ("yolo/data.yaml", "names: 3", "names: expected the classes' names"),
        ("yolo/data.yaml", "names: [", "not valid YAML"),
        ("yolo/data.yaml", "names: [a, a]", r"names\[1\]: 'a' appears twice"),
        ("yolo/data.yaml", "names: [a]", "no text files in a folder 'labels'"),
        ("yolo", "", "prompts file .*data.yaml: .*No such file"),
    ],
)  # fmt: skip
def test_wrong_files_are_named_with_their_place(
    image_folder: Path, tmp_path: Path, name: str, content: Any, reason: str
) -> None:
    path = tmp_path / "given" / name
    if name == "yolo":
        path.mkdir(parents=True)
    else:
        write(path, content)
    with pytest.raises(Exception, match=reason) as caught:
        found(image_folder, path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2 0.5 0.5 0.1 0.1", r"expected a class from 0 to 1, .*, got '2'"),
        ("pear 0.5 0.5 0.1 0.1", r"expected a class from 0 to 1"),
        ("1 0.5 0.5 0.1", "expected 'class x y width height', got 4 values"),
        ("1 0.1 0.1 0.5 0.1 0.5 0.5", "expected .* got 7 values; polygons need no masks"),
        ("1 100 50 20 30", r"expected shares of the image, 0 to 1, got '100 50 20 30'; divide"),
        ("1 0.5 0.5 nan 0.1", "expected a finite number"),
    ],
)
def test_wrong_yolo_lines_are_named(tmp_path: Path, line: str, reason: str) -> None:
    data = yolo(tmp_path / "yolo")
    write(tmp_path / "yolo" / "labels" / "val" / "x.txt", f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(PromptError, match=f"labels/val/x.txt: line 2: {reason}"):
        found(tmp_path / "yolo" / "images", data)


def test_own_form_travels_with_categories(image_folder: Path, tmp_path: Path) -> None:
    """What a run on Vertex AI uploads gives there what the operator's file gives here."""
    given = write(tmp_path / "boxes.json", coco())
    here = found(image_folder, given)
    content = own_form({name: p for name, p in here.items() if p}, read_prompts(str(given)))
    uploaded = write(tmp_path / "uploaded.json", content)
    assert found(image_folder, uploaded) == here
    assert read_prompts(str(uploaded)).categories == read_prompts(str(given)).categories


def test_plan_keeps_the_owners_categories(image_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = RunParameters(
        inputs=(str(image_folder),),
        output=str(out),
        prompts=str(write(tmp_path / "boxes.json", coco())),
    )
    plan_shards(run)
    assert json.loads((out / "categories.json").read_text()) == {
        "categories": [
            {"id": 3, "name": "pear", "supercategory": ""},
            {"id": 44, "name": "apple", "supercategory": "fruit"},
        ]
    }


def test_images_keep_their_order_and_files(image_folder: Path, tmp_path: Path) -> None:
    run = RunParameters(
        inputs=(str(image_folder),),
        output="/nowhere/out",
        prompts=str(write(tmp_path / "boxes.json", coco())),
    )
    images: list[InputImage] = find_images(run)
    assert [image.file for image in images] == ["a.png", "more/c.webp"]
