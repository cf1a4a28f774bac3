"""Opens the exports of a real run with the real importers and writes the table of the docs.

    python -m tests.importers.run            # every importer; makes their environments first
    python -m tests.importers.run coco geo   # some of them

Each importer has an environment of its own in ``.importers/``, with what ``READERS`` names, made
while the run goes on; the network is needed once. The run's images are drawn, its masks come from
the embedded checkpoint, and one image has masks that are hard to hold: with a hole, of two pieces,
of one pixel.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.run.manifest import read_plan, write_plan
from pipeline.run.output_layout import PLAN
from scripts.checkout import ROOT
from serving.sam.masks import category_of, decode_mask
from serving.storage import open_folder
from tests.conftest import draw_scene
from tests.scripts.export.outputs import hard_masks, record, write_image

ENVIRONMENTS = ROOT / ".importers"
PAGE = ROOT / "docs" / "interop.md"
BEGIN, END = "<!-- importers: begin -->\n", "<!-- importers: end -->\n"
HERE = Path(__file__).parent / "readers"
POLYGONS = 0.99  # mean IoU
INSTALLATIONS = 2  # at once


@dataclasses.dataclass(frozen=True, slots=True)
class Reader:
    """An importer.

    Attributes:
        tool: what the table calls it.
        format: which export it reads.
        script: of ``readers/``.
        packages: what its environment holds.
        exact: whether every pixel must be equal.
        argument: for the script.
        scores: whether the tool reads scores.
        whole_names: whether the tool keeps the suffix of an image's name.
    """

    tool: str
    format: str
    script: str
    packages: tuple[str, ...]
    exact: bool = True
    argument: str = ""
    scores: bool = True
    whole_names: bool = True


COCO = "pycocotools==2.0.11"
READERS = {
    "coco": Reader("pycocotools 2.0.11", "coco-rle", "coco.py", (COCO,)),
    "polygons": Reader("pycocotools 2.0.11", "coco-polygons", "coco.py", (COCO,)),
    "supervision": Reader(
        "supervision 0.31.2", "coco-rle", "supervision_coco.py",
        ("supervision==0.31.2", COCO), scores=False,
    ),
    "datumaro": Reader(
        "datumaro 1.13.12", "coco-rle", "datumaro_formats.py", ("datumaro==1.13.12",),
        argument="coco_instances", whole_names=False,
    ),
    "cvat": Reader(
        "datumaro 1.13.12 (CVAT)", "cvat", "datumaro_formats.py", ("datumaro==1.13.12",),
        argument="cvat", whole_names=False,
    ),
    "labelstudio": Reader(
        "Label Studio SDK 2.1.2", "label-studio", "label_studio.py",
        ("label-studio-sdk==2.1.2", COCO), exact=False,
    ),
    "yolo": Reader(
        "YOLO segments, by its documentation", "yolo", "yolo_segments.py",
        ("opencv-python-headless", "pyyaml"), exact=False, scores=False,
    ),
    "huggingface": Reader(
        "datasets 5.2.0, pyarrow", "parquet", "hugging_face.py", ("datasets==5.2.0", COCO)
    ),
    "geo": Reader("geopandas 1.2.0 (GDAL)", "geojson", "geo.py", ("geopandas==1.2.0", "pillow")),
}  # fmt: skip

Mask = NDArray[np.bool_]
Found = tuple[str, str, float | None, Mask]


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """How an importer did."""

    masks: int
    expected: int
    equal: int
    mean_iou: float
    scores: bool

    def good(self, reader: Reader) -> bool:
        """Whether it read everything that its format holds."""
        pixels = self.equal == self.expected if reader.exact else self.mean_iou >= POLYGONS
        return self.masks == self.expected and pixels and self.scores


def make_run(folder: Path) -> tuple[Path, Path]:
    """Run the command on drawn images with boxes of two categories; return images and output."""
    images, output = folder / "images", folder / "out"
    images.mkdir()
    boxes = ["file,x0,y0,x1,y1,category"]
    for number in range(4):
        width, height = 480 + 64 * number, 360
        name = f"scene {number}.png"
        Image.fromarray(draw_scene(width, height)).save(images / name)
        boxes.append(f"{name},{width * 0.1},{height * 0.2},{width * 0.4},{height * 0.6},fruit")
        boxes.append(f"{name},{width * 0.55},{height * 0.15},{width * 0.85},{height * 0.5},a box")
    (folder / "boxes.csv").write_text("\n".join(boxes), "utf-8")
    _call([sys.executable, "-m", "scripts.cli", "run", images, "--prompts", folder / "boxes.csv",
           "--output", output])  # fmt: skip
    hard = hard_masks(400, 300)
    Image.new("RGB", (400, 300)).save(images / "hard.png")
    write_image(output, "hard.png", [record(mask, category=f"shape: {key} & <co>")
                                     for key, mask in hard.items()])  # fmt: skip
    run = open_folder(str(output))
    planned = list(read_plan(run, PLAN))  # an export holds what the run has among its inputs
    one_more = dataclasses.replace(planned[0], name="hard.png", file="hard.png")
    write_plan(run, PLAN, [*planned, one_more])
    return images, output


def truth(output: Path) -> list[Found]:
    """The run's masks."""
    found: list[Found] = []
    for path in sorted((output / "masks").glob("*.json")):
        content = json.loads(path.read_text("utf-8"))
        found += [
            (content["image"], category_of(mask), mask["predicted_iou"],
             decode_mask(mask["segmentation"]))
            for mask in content["masks"]
        ]  # fmt: skip
    return found


def read(reader: Reader, exported: Path, images: Path, work: Path) -> list[Found]:
    """What an importer finds in an export."""
    python = environment(reader.packages)
    script = [python, HERE / reader.script, exported, images, work, reader.argument]
    found: list[Found] = []
    for line in _call(script).splitlines():
        if line.startswith("FOUND "):
            item = json.loads(line.removeprefix("FOUND "))
            height, width = item["shape"]
            bits = np.frombuffer(base64.b64decode(item["bits"]), np.uint8)
            mask = np.unpackbits(bits)[: height * width].reshape(height, width).astype(bool)
            found.append((item["image"], item["category"], item["score"], mask))
    return found


def environment(packages: tuple[str, ...]) -> Path:
    """The Python of an environment with these packages, which is made where it is missing.

    Our own pip fills it, with wheels only and without compiling what is imported once.
    """
    name = "-".join(item.partition("==")[0] for item in packages)
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    marker = folder / "complete.json"
    if not marker.exists() or json.loads(marker.read_text()) != list(packages):
        started = time.monotonic()
        _call([sys.executable, "-m", "venv", "--clear", "--without-pip", folder])
        _call([sys.executable, "-m", "pip", "--python", python, "install", "--quiet",
               "--disable-pip-version-check", "--only-binary", ":all:", "--no-compile",
               *packages])  # fmt: skip
        marker.write_text(json.dumps(packages))
        spent = time.monotonic() - started
        print(f"installed {', '.join(packages)} in {spent:.0f} s", file=sys.stderr)
    return python


def compare(expected: list[Found], found: list[Found], reader: Reader) -> Result:
    """Match what was found with what there is: same image, same category, nearest pixels."""
    left = list(found)
    equal, overlaps, scores = 0, [], True
    for image, category, score, mask in expected:
        name = image if reader.whole_names else str(Path(image).with_suffix(""))
        rivals = [
            (float((item[3] & mask).sum() / (item[3] | mask).sum()), number)
            for number, item in enumerate(left)
            if item[:2] == (name, category) and item[3].shape == mask.shape
        ]
        overlap, number = max(rivals, default=(0.0, -1))
        overlaps.append(overlap)
        if number >= 0:
            theirs = left.pop(number)
            equal += bool((theirs[3] == mask).all())
            kept = theirs[2] is not None and abs(theirs[2] - (score or 0)) < 1e-5
            scores = scores and (kept or not reader.scores)
    return Result(len(found), len(expected), equal, float(np.mean(overlaps)), scores)


def table(results: dict[str, Result]) -> str:
    """The table of the docs."""
    lines = [
        "| importer | `--to` | masks, by category | equal in every pixel | mean IoU | scores |",
        "|---|---|---:|---:|---:|---|",
    ]
    for name, result in results.items():
        reader = READERS[name]
        scores = ("kept" if result.scores else "lost") if reader.scores else "not read by the tool"
        lines.append(
            f"| {reader.tool} | `{reader.format}` | {result.masks} of {result.expected} | "
            f"{result.equal} | {result.mean_iou:.4f} | {scores} |"
        )
    return "\n".join(lines) + "\n"


def _call(command: list[Any]) -> str:
    done = subprocess.run(
        [str(item) for item in command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}:\n{done.stdout[-2000:]}{done.stderr}")
    return done.stdout


def main() -> int:
    """Run, export, read, compare; with all importers, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="IMPORTER", help=", ".join(READERS))
    names = parser.parse_args().names or list(READERS)
    results: dict[str, Result] = {}
    with (
        tempfile.TemporaryDirectory(prefix="importers-") as temporary,
        ThreadPoolExecutor(INSTALLATIONS) as pool,
    ):
        folder = Path(temporary)
        needed = dict.fromkeys(READERS[name].packages for name in names)
        environments = {packages: pool.submit(environment, packages) for packages in needed}
        images, output = make_run(folder)
        for name in names:
            reader = READERS[name]
            exported, work = folder / reader.format, folder / f"work-{name}"
            work.mkdir()
            environments[reader.packages].result()
            started = time.monotonic()
            _call([sys.executable, "-m", "scripts.cli", "export", output, "--to", reader.format,
                   "--output", exported])  # fmt: skip
            found = read(reader, exported, images, work)
            results[name] = compare(truth(output), found, reader)
            print(f"{name}: {results[name]}, {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(table(results), end="")
    if len(results) == len(READERS):
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        PAGE.write_text(before + BEGIN + table(results) + END + rest.partition(END)[2], "utf-8")
    return 0 if all(result.good(READERS[name]) for name, result in results.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
