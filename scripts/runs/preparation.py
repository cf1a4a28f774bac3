"""What is settled before a run on Vertex AI is submitted: image, places, time and money."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scripts.cloud.deployment import Deployment, release_of
from scripts.cloud.vertex_sdk import in_rehearsal
from scripts.container.record import last_built_image
from scripts.costs.estimates import COORDINATORS_SECONDS, START_SECONDS, Estimate, Work, estimate
from scripts.costs.prices import prices
from scripts.costs.throughput import throughput
from scripts.terminal.amounts import duration
from scripts.terminal.errors import OperatorError

if TYPE_CHECKING:
    from pipeline.definition import Machine
    from pipeline.run.input_images import InputImage
    from pipeline.run.parameters import RunParameters


def run_image(outputs: Path, given: str) -> str:
    """The image whose steps run: the one given, the deployed model's, or the last one built.

    Raises:
        OperatorError: there is none.
    """
    if given:
        return given
    try:
        deployed = str(release_of(outputs).get("image", ""))
    except OperatorError:
        deployed = ""
    image = deployed or last_built_image(outputs)
    if not image:
        raise OperatorError("there is no image to run", hint="sam-vertex image build, or --image")
    return image


def kind_of_machine(machine: Machine) -> str:
    """What measurements are kept under."""
    name = machine.accelerator or f"{machine.cpu} CPUs"
    return f"vertex, {name}" + (" (rehearsed)" if in_rehearsal() else "")


def prepare(found: Deployment, parameters: RunParameters) -> RunParameters:
    """Check that the steps can reach everything, and bring what only this machine has.

    Raises:
        OperatorError: a place that they cannot reach.
    """
    from serving.storage import SCHEME, open_folder

    readable = (found.images_uri, found.pipeline_uri, found.checkpoint_uri)
    for place in parameters.inputs:
        _reachable("INPUT", place, readable, "sam-vertex images upload FOLDER")
    _reachable("--output", parameters.output, (found.pipeline_uri,), "choose a folder there")
    checkpoint = parameters.checkpoint
    if "/" in checkpoint:
        hint = "sam-vertex checkpoint upload NAME"
        _reachable("--checkpoint", checkpoint, readable, hint)
    prompts = parameters.prompts
    if prompts and not prompts.startswith(SCHEME):
        try:
            content = Path(prompts).expanduser().read_bytes()
        except OSError as error:
            raise OperatorError(
                f"prompts file {prompts}: {error}", hint="see 'sam-vertex run --help'"
            ) from error
        name = f"prompts/{hashlib.sha256(content).hexdigest()[:32]}.json"
        folder = open_folder(found.pipeline_uri)
        folder.write_bytes(name, content, "application/json")
        prompts = folder.uri_of(name)
    run_id = f"sam-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    return dataclasses.replace(parameters, prompts=prompts, run_id=run_id)


def predict(
    parameters: RunParameters,
    images: Sequence[InputImage],
    machine: Machine,
    parallel: int,
    checkpoint: str,
) -> Estimate:
    """What the run will take, all images to be computed."""
    prompted = sum(bool(image.prompts) for image in images)
    work = Work(
        automatic=len(images) - prompted,
        prompted=prompted,
        shards=parameters.shards,
        parallel=parallel,
    )
    where = kind_of_machine(machine)
    table = prices()
    hour = table.shard_hour(float(machine.cpu), machine.accelerator, machine.accelerators)
    found = estimate(
        work,
        throughput(where, checkpoint, "automatic"),
        throughput(where, checkpoint, "prompted"),
        usd_per_shard_hour=hour or 0.0,
        usd_per_run=table.usd["pipeline_run"],
        start_seconds=5.0 if in_rehearsal() else START_SECONDS,
        coordinators_seconds=5.0 if in_rehearsal() else COORDINATORS_SECONDS,
    )
    if hour is None:
        note = f"no price is known of {machine.cpu} CPUs with {machine.accelerator}: the fee alone"
        found = dataclasses.replace(found, basis=f"{found.basis}; {note}")
    return found


def _reachable(what: str, place: str, folders: tuple[str, ...], hint: str) -> None:
    if not any(place == folder or place.startswith(f"{folder}/") for folder in folders):
        raise OperatorError(
            f"{what} {place}: expected a place below {' or '.join(folders)}, which the steps can "
            "reach",
            hint=hint,
        )


def say_estimate(found: Estimate, shards: int) -> None:
    """Print the prediction before anything bills."""
    typer.echo(
        f"estimate: {duration(found.seconds)}, ${found.usd:.2f} on {shards} "
        f"{'machine' if shards == 1 else 'machines'}\n  {found.basis}",
        err=True,
    )
