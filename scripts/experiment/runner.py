"""Where an experiment runs its batches: on this machine or on Vertex AI."""

from __future__ import annotations

import dataclasses
import datetime
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from scripts.checkpoints.cache import resolve_checkpoint
from scripts.cloud.deployment import Deployment
from scripts.costs.estimates import START_SECONDS, Estimate, Work
from scripts.costs.forecasts import ShardMachine, forecast_here, forecast_on_vertex
from scripts.costs.prices import prices
from scripts.experiment.results import Mode, Row
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import meter
from serving.sam.known_checkpoints import find_entry

if TYPE_CHECKING:
    from pipeline.run.parameters import RunParameters

_ACCELERATOR = "NVIDIA_TESLA_T4"
_MOST_CORES_OF_AN_N1 = 96


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BatchRunner:
    """Runs batches and says what each took.

    Attributes:
        engine: this machine or Vertex AI.
        checkpoint: name or file.
        family: of its network, where its weights do not say.
        shards: pieces each batch is split into.
        points_per_side: grid of automatic prompts; ``None`` for the checkpoint's own.
        outputs: file that 'cdktf deploy' wrote, for Vertex AI.
    """

    engine: Literal["local", "vertex"]
    checkpoint: str
    shards: int
    points_per_side: int | None
    outputs: Path
    family: str = ""

    def settings(self) -> dict[str, Any]:
        """What tells experiments on one machine from those on another, and today's date."""
        cores = os.cpu_count() or 1
        machine = priced_as = "n1-standard-4 and T4"
        if self.engine == "local":
            machine = f"{platform.machine()}, {cores} cores"
            priced_as = f"as {cores} CPUs of an N1 on Vertex would bill"
        return {
            "date": datetime.date.today().isoformat(),
            "engine": self.engine,
            "machine": machine,
            "priced_as": priced_as,
            "checkpoint": self.checkpoint,
            **({"family": self.family} if self.family else {}),
            "shards": self.shards,
            "points_per_side": self.points_per_side,
        }

    def estimate(self, batches: Sequence[tuple[int, Mode]]) -> Estimate | None:
        """Time and cost of batches, one after the other.

        Args:
            batches: their sizes and modes, at least one.

        Returns:
            ``None`` where no run like them was measured on this machine.
        """
        if self.engine == "local" and self.points_per_side is not None:
            return None  # another grid takes another time, and nobody has measured by how much
        try:
            estimates = [self._estimate(count, mode) for count, mode in batches]
        except OperatorError:
            if self.engine == "local":
                return None
            raise
        return dataclasses.replace(
            estimates[-1],
            seconds=sum(estimate.seconds for estimate in estimates),
            usd=sum(estimate.usd for estimate in estimates),
        )

    def _estimate(self, count: int, mode: Mode) -> Estimate:
        prompted = count // 2 if mode == "prompted" else 0
        work = Work(
            automatic=count - prompted, prompted=prompted, shards=self.shards, parallel=self.shards
        )
        if self.engine == "local":
            entry = find_entry(PurePath(self.checkpoint).name)
            name = entry.name if entry else self.checkpoint
            try:
                return forecast_here(work, name)
            except OperatorError:  # a prompted image takes no longer than an automatic one
                return forecast_here(Work(automatic=count), name)
        machine = ShardMachine(
            cpus=4,
            accelerator=_ACCELERATOR,
            capacity="standard",
            region="",
            start_seconds=START_SECONDS,
        )
        return forecast_on_vertex(work, self.checkpoint, machine)

    def run(self, batch: Path, run_folder: Path, count: int, mode: Mode) -> Row:
        """Run one batch from nothing.

        Args:
            batch: folder with ``images/`` and ``prompts.json``.
            run_folder: local folder for the output; its name tells runs on Vertex AI apart.
            count: images in the batch.
            mode: whether its prompts are used.

        Returns:
            The row of its figures.

        Raises:
            OperatorError: the run failed.
        """
        from pipeline.run.manifest import read_json
        from pipeline.run.output_layout import METRICS
        from pipeline.run.parameters import RunParameters
        from serving.storage import open_folder

        parameters = RunParameters(
            inputs=(str(batch / "images"),),
            output=str(run_folder),
            prompts=str(batch / "prompts.json") if mode == "prompted" and count > 1 else "",
            checkpoint=self.checkpoint,
            family=self.family,
            shards=self.shards,
            points_per_side=self.points_per_side,
            max_failed=1.0,
        )
        run = self._run_here if self.engine == "local" else self._run_on_vertex
        output = run(parameters)
        metrics = read_json(open_folder(output), METRICS)
        seconds = metrics["run"]["wall_seconds"]
        usd = metrics["cost_usd"].get("actual") or seconds / 3600 * self._usd_an_hour()
        return {
            "images": count,
            "mode": mode,
            "seconds": round(seconds, 2),
            "usd": round(usd, 5),
            "images_per_second": metrics["images_per_second"],
            "failed": metrics["failed"],
            "masks": metrics["masks"],
            "prompted": metrics["prompted"],
            "report": f"{output}/report.html",
        }

    def _run_here(self, parameters: RunParameters) -> str:
        """Run on this machine; return the output."""
        from scripts.runs.local import run_here

        shutil.rmtree(parameters.output, ignore_errors=True)  # a resumed run would measure the rest
        checkpoint = resolve_checkpoint(self.checkpoint)
        run_here(dataclasses.replace(parameters, checkpoint=checkpoint))
        return parameters.output

    def _run_on_vertex(self, parameters: RunParameters) -> str:
        """Upload the batch and run it on Vertex AI; return the URI of the output."""
        from pipeline.run.input_images import find_images
        from scripts.cloud.uploads import upload_images
        from scripts.runs.following import follow
        from scripts.runs.submission import submit_run
        from serving.storage import open_folder

        deployment = Deployment.from_outputs(self.outputs)
        images, name = Path(parameters.inputs[0]), Path(parameters.output).name
        uri = f"{deployment.images_uri}/experiment-{images.parent.name}"
        with meter("uploading") as bar:
            upload_images(find_images(parameters), open_folder(uri), bar)
        now = f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
        output = f"{deployment.pipeline_uri}/experiment/{now}-{name}"
        submitted = submit_run(
            dataclasses.replace(parameters, inputs=(uri,), output=output),
            outputs=self.outputs,
            parallel=self.shards,
            accelerator=_ACCELERATOR,
        )
        follow(submitted)
        return output

    def _usd_an_hour(self) -> float:
        """The list price of all machines; one's own costs what the nearest on Vertex would."""
        if self.engine == "vertex":
            return self.shards * (prices().shard_hour(4, _ACCELERATOR, 1) or 0.0)
        cores = min(os.cpu_count() or 1, _MOST_CORES_OF_AN_N1)
        return prices().shard_hour(cores, "", 1) or 0.0
