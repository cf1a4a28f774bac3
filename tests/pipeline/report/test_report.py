"""The reports: complete, self-contained, and safe against names that look like markup."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image

from pipeline.run.parameters import RunParameters
from tests.conftest import draw_scene
from tests.pipeline.conftest import run_steps


def test_report_html_is_one_file_without_outside_references(small_run: RunParameters) -> None:
    page = Path(small_run.output, "report.html").read_text("utf-8")
    assert "://" not in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=(?!.data:)", page)
    pictures = re.findall(r"data:image/webp;base64,[A-Za-z0-9+/=]+", page)
    masks = [json.loads(path.read_text())["masks"] for path in _masks(small_run)]
    assert len(pictures) == sum(2 + len(records) for records in masks)


def _masks(run: RunParameters) -> list[Path]:
    return list(Path(run.output, "masks").rglob("*.json"))


def test_report_names_that_look_like_markup_stay_text(image_folder: Path, tmp_path: Path) -> None:
    wild = "x<script>alert(1)</script>|.png"
    Image.fromarray(draw_scene(40, 40)).save(image_folder / wild.replace("/", "_"))
    run = RunParameters(
        inputs=(str(image_folder),), output=str(tmp_path / "out"), points_per_side=2
    )
    run_steps(run)
    page = Path(run.output, "report.html").read_text("utf-8")
    assert "<script>alert" not in page.replace("\\u003c", "(")
    assert "\\|" in Path(run.output, "report.md").read_text("utf-8")


def test_report_markdown_pictures_all_exist(small_run: RunParameters) -> None:
    links = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", Path(small_run.output, "report.md").read_text())
    assert len(links) >= 6
    for link in links:
        assert Path(small_run.output, unquote(link)).is_file(), link


def test_overlay_has_the_images_size(small_run: RunParameters) -> None:
    picture = np.asarray(Image.open(Path(small_run.output, "overlays/a.png.png")))
    assert picture.shape == (150, 200, 3)
