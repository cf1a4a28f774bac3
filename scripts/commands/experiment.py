"""``sam-vertex experiment``: time and cost against the number of images, measured."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import random
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from scripts.cloud import deployment
from scripts.commands import options
from scripts.terminal.errors import OperatorError, reporting_errors

if TYPE_CHECKING:
    from pipeline.run.input_images import InputImage
    from pipeline.run.parameters import RunParameters

EXAMPLES = (
    "Examples: sam-vertex experiment photos/ --sizes 5,50 --output experiment/ | "
    "sam-vertex experiment photos/ --engine vertex --shards 4 --checkpoint vit_b "
    "--output experiment/"
)
MODES = ("automatic", "prompted")
RESULT = "experiment.json"
# Minutes on an n1-standard-4 with one T4, vit_b, images up to 512 pixels: the experiment of the
# document that this project was made from, with the official implementation.
REFERENCE: dict[str, Any] = {
    "label": "the original's published figures: another machine (T4), vit_b",
    "images": [5, 50, 100, 500, 1000],
    "automatic_minutes": [0.97, 9.8, 20.1, 105.3, 211.7],
    "prompted_minutes": [0.24, 2.3, 5.2, 26.1, 52.5],
}


def experiment(
    inputs: Annotated[
        list[str], typer.Argument(metavar="SEED...", help="Images that are replicated.")
    ],
    output: Annotated[Path, typer.Option(help="Local folder for batches, runs and results.")],
    sizes: Annotated[str, typer.Option(help="Numbers of images.")] = "5,50,100,500,1000",
    prompts: Annotated[
        str, typer.Option(help="Prompts of the seed images; default: a click in the middle.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Chooses which half has prompts.")] = 0,
    engine: options.Engine = "local",
    checkpoint: options.Checkpoint = "vit_tiny",
    shards: options.Shards = 1,
    points_per_side: options.PointsPerSide = None,
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Run batches of several sizes with and without prompts; table and plots of time and cost.

    A batch is the seed images in turn, under unique names; a random half of it has prompts in the
    run with prompts, and the rest is segmented automatically. What was measured is kept: the same
    command again does only what is missing.
    """
    with reporting_errors(debug):
        from scripts.experiment.figures import plot, table

        wanted = _sizes(sizes)
        study = _Study(inputs, output, prompts, seed)
        runner = _Runner(engine, checkpoint, shards, points_per_side, outputs)
        result = study.read(runner.about())
        for count in wanted:
            folder = study.batch(count)
            for mode in MODES:
                if any(r["images"] == count and r["mode"] == mode for r in result["rows"]):
                    continue
                typer.echo(f"{count} images, {mode}", err=True)
                row = runner.run(folder, output, count, mode)
                result["rows"].append(row)
                study.write(result)
        result["rows"].sort(key=lambda row: (row["mode"], row["images"]))
        study.write(result)
        pictures = plot(result, output)
        text = table(result)
        (output / "experiment.md").write_text(text, "utf-8")
        if as_json:
            typer.echo(json.dumps(result))
        else:
            typer.echo(text)
            typer.echo("plots: " + ", ".join(str(path) for path in pictures))


def _sizes(text: str) -> list[int]:
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise OperatorError(
            f"--sizes {text!r}: expected numbers of images", hint="--sizes 5,50,100"
        ) from error
    if not found or found[0] < 1 or found[-1] > 100_000:
        raise OperatorError(f"--sizes {text!r}: expected 1 to 100000", hint="--sizes 5,50,100")
    return found


class _Study:
    """The batches of one experiment, and what was measured so far."""

    def __init__(self, inputs: list[str], output: Path, prompts: str, seed: int) -> None:
        from pipeline.run.input_images import find_images
        from pipeline.run.parameters import RunParameters, fingerprint

        self._output, self._seed = output, seed
        wanted = RunParameters(inputs=tuple(inputs), output=str(output), prompts=prompts)
        self._seeds = find_images(wanted)
        content = [
            [
                one.name,
                one.digest or one.folder.digest(one.file),
                [p.to_json() for p in one.prompts],
            ]
            for one in self._seeds
        ]
        self.identity = fingerprint({"images": content, "seed": seed})[:12]
        output.mkdir(parents=True, exist_ok=True)

    def batch(self, count: int) -> Path:
        """Write ``count`` images with their prompts file; what is there is left."""
        folder = self._output / "batches" / f"{self.identity}-{count}"
        done = folder / "complete"
        if done.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "images").mkdir(parents=True)
        names = []
        for number in range(count):
            image = self._seeds[number % len(self._seeds)]
            stem, suffix = PurePosixPath(image.file).stem, PurePosixPath(image.file).suffix
            name = f"{number:06d}-{stem[:40]}{suffix}"
            (folder / "images" / name).write_bytes(image.folder.read_bytes(image.file))
            names.append((name, image))
        chosen = random.Random(self._seed).sample(names, count // 2)
        prompts = {name: _prompts(image) for name, image in sorted(chosen, key=lambda one: one[0])}
        (folder / "prompts.json").write_text(json.dumps(prompts, indent=1) + "\n", "utf-8")
        done.touch()
        return folder

    def read(self, about: dict[str, Any]) -> dict[str, Any]:
        """What was measured before, in the same way; else a beginning."""
        about = {**about, "seed": self._seed, "batches": self.identity}
        new = {**about, "reference": REFERENCE, "rows": []}
        try:
            old = json.loads((self._output / RESULT).read_text("utf-8"))
        except (OSError, ValueError):
            return new
        same = all(old.get(key) == new[key] for key in about if key != "date")
        return dict(old) if same else new

    def write(self, result: dict[str, Any]) -> None:
        """Keep what was measured."""
        (self._output / RESULT).write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def _prompts(image: InputImage) -> list[dict[str, Any]]:
    """The seed's own prompts, or a click in its middle."""
    from serving.sam.images import read_size

    if image.prompts:
        return [prompt.to_json() for prompt in image.prompts]
    width, height = read_size(image.folder.read_bytes(image.file), image.name)
    return [{"points": [[width / 2, height / 2]], "labels": [1]}]


class _Runner:
    """Runs a batch here or on Vertex AI."""

    def __init__(
        self,
        engine: Literal["local", "vertex"],
        checkpoint: str,
        shards: int,
        points_per_side: int | None,
        outputs: Path,
    ) -> None:
        self._engine, self._checkpoint, self._shards = engine, checkpoint, shards
        self._points, self._outputs = points_per_side, outputs

    def about(self) -> dict[str, Any]:
        """What tells one experiment from another."""
        cores = os.cpu_count() or 1
        local = self._engine == "local"
        machine = f"{platform.machine()}, {cores} cores" if local else "n1-standard-4 and T4"
        priced = (
            f"as {cores} CPUs of an N1 on Vertex would bill" if local else "n1-standard-4 and T4"
        )
        return {
            "date": datetime.date.today().isoformat(),
            "engine": self._engine,
            "machine": machine,
            "priced_as": priced,
            "checkpoint": self._checkpoint,
            "shards": self._shards,
            "points_per_side": self._points,
        }

    def run(self, batch: Path, output: Path, count: int, mode: str) -> dict[str, Any]:
        """Run one batch from nothing; the row of its figures."""
        from pipeline.run.manifest import read_json
        from pipeline.run.parameters import RunParameters
        from pipeline.steps.write_report import METRICS
        from serving.storage import open_folder

        prompts = str(batch / "prompts.json") if mode == "prompted" and count > 1 else ""
        parameters = RunParameters(
            inputs=(str(batch / "images"),),
            output=str(output / "runs" / f"{count}-{mode}"),
            prompts=prompts,
            checkpoint=self._checkpoint,
            shards=self._shards,
            points_per_side=self._points,
            max_failed=1.0,
        )
        place = self._here(parameters) if self._engine == "local" else self._there(parameters)
        metrics = read_json(open_folder(place), METRICS)
        seconds = metrics["run"]["wall_seconds"]
        hour = _usd_an_hour(self._engine)
        machines = self._shards if self._engine == "vertex" else 1
        return {
            "images": count,
            "mode": mode,
            "seconds": round(seconds, 2),
            "usd": metrics["cost_usd"].get("actual") or round(seconds / 3600 * hour * machines, 5),
            "images_per_second": metrics["images_per_second"],
            "failed": metrics["failed"],
            "masks": metrics["masks"],
            "prompted": metrics["prompted"],
            "report": f"{place}/report.html",
        }

    def _here(self, parameters: RunParameters) -> str:
        from scripts.checkpoints.cache import resolve_checkpoint
        from scripts.runs.local import run_here

        place = str(parameters.output)
        shutil.rmtree(place, ignore_errors=True)  # a resumed run would not be a measured one
        run_here(dataclasses.replace(parameters, checkpoint=resolve_checkpoint(self._checkpoint)))
        return place

    def _there(self, parameters: RunParameters) -> str:
        """Upload the batch, run it on Vertex AI; where its output is."""
        from scripts.runs.following import follow
        from scripts.runs.submission import submit_run
        from serving.storage import open_folder

        found = deployment.Deployment.from_outputs(self._outputs)
        batch, name = Path(parameters.inputs[0]), Path(parameters.output).name
        images = f"{found.images_uri}/experiment-{batch.parent.name}"
        folder = open_folder(images)
        there = {file.name for file in folder.files()}
        for path in sorted(batch.iterdir()):
            if path.name not in there:
                folder.write_bytes(path.name, path.read_bytes(), "application/octet-stream")
        place = f"{found.pipeline_uri}/experiment/{datetime.datetime.now():%Y%m%d-%H%M%S}-{name}"
        parameters = dataclasses.replace(parameters, inputs=(images,), output=place)
        follow(
            submit_run(
                parameters,
                outputs=self._outputs,
                parallel=self._shards,
                accelerator="NVIDIA_TESLA_T4",
            )
        )
        return place


def _usd_an_hour(engine: str) -> float:
    """A machine like the one that ran: one's own as the nearest that Vertex bills."""
    from scripts.costs.prices import prices

    cores = min(max(os.cpu_count() or 1, 1), 96)
    kind = "NVIDIA_TESLA_T4" if engine == "vertex" else ""
    return prices().shard_hour(4 if kind else cores, kind, 1) or 0.0


def rows_of(result: dict[str, Any], mode: str) -> Iterator[dict[str, Any]]:
    """The rows of one mode, by size."""
    return (row for row in sorted(result["rows"], key=lambda r: r["images"]) if row["mode"] == mode)
