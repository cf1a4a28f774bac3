"""How long an image takes: measured by earlier runs, else as published for another machine."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from scripts.local_files import write_whole
from scripts.terminal.errors import OperatorError
from serving.sam.machine.user_cache import user_cache
from serving.sam.plain_text import count

Mode = Literal["automatic", "prompted"]
# The experiment of the document that this project follows: n1-standard-4, one T4, vit_b, images up
# to 512 pixels a side, the official implementation.
PUBLISHED = {"automatic": 12.7, "prompted": 3.15}
PUBLISHED_BASIS = "the original experiment's figure for vit_b on a T4, with the official generator"
_ENOUGH = 3  # images; the first of a process is slower than the rest
THIS_MACHINE = "local"


def vertex_machine(cpus: float | str, accelerator: str) -> str:
    """Return the name under which :func:`remember` keeps the times of a machine on Vertex AI.

    Args:
        cpus: of the machine.
        accelerator: Vertex's name of it; empty for none.
    """
    return f"vertex, {accelerator or f'{cpus} CPUs'}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Seconds of one shard for an image.

    Attributes:
        seconds: of the network.
        beside: seconds for each megapixel to read, draw and write, beside the network.
        basis: where the figures come from, for a reader.
    """

    seconds: float
    beside: float = 0.0
    basis: str

    def seconds_for(self, megapixels: float) -> float:
        """Seconds for an image of that size: the network and the rest go on at once."""
        return max(self.seconds, self.beside * megapixels)

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any], basis: str) -> Self | None:
        """Read a run's ``metrics.json``; ``None`` where too few images were computed."""
        run, stages = metrics["run"], metrics["seconds_per_stage"]
        if run["computed"] < _ENOUGH or metrics["done"] == 0 or not run["shard_seconds"]:
            return None
        beside = sum(stages.get(name, 0.0) for name in ("read", "decode", "draw", "write"))
        return cls(
            seconds=run["shard_seconds"] / run["computed"],
            beside=beside / max(metrics["megapixels"], 1e-6),
            basis=basis,
        )


def _path() -> Path:
    return user_cache() / "throughput.json"


def _key(machine: str, checkpoint: str, mode: str) -> str:
    return f"{machine} | {checkpoint} | {mode}"


def _stored() -> dict[str, Any]:
    try:
        content = json.loads(_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_measured(checkpoint: str) -> bool:
    """Whether a run with a checkpoint of that name was measured, on whatever machine."""
    return any(key.split(" | ")[1] == checkpoint for key in _stored() if key.count(" | ") == 2)


def mode_of(metrics: Mapping[str, Any]) -> Mode | None:
    """Whether a run was all automatic or all prompted; ``None`` where it was both."""
    if metrics["prompted"] == 0:
        return "automatic"
    return "prompted" if metrics["prompted"] == metrics["done"] else None


def remember(metrics: Mapping[str, Any], machine: str) -> None:
    """Keep the times of a run for later estimates; a cache that cannot be written is no error.

    Automatic masks with another grid than the checkpoint's own take another time.

    Args:
        metrics: content of the run's ``metrics.json``.
        machine: :data:`THIS_MACHINE`, or the name that :func:`vertex_machine` gives.
    """
    mode = mode_of(metrics)
    today = datetime.date.today().isoformat()
    images = count(metrics["run"]["computed"], "image")
    basis = f"measured on {today} over {images}, {machine}"
    if machine == THIS_MACHINE:
        basis += f", {metrics['device']}"
    measured = Throughput.from_metrics(metrics, basis) if mode is not None else None
    own_grid = metrics.get("settings", {}).get("points_per_side") is not None
    redrawn = metrics["run"].get("redrawn", 0)  # whose masks took nothing
    if mode is None or measured is None or redrawn or (own_grid and mode == "automatic"):
        return
    stored = _stored()
    stored[_key(machine, metrics["model"]["name"], mode)] = dataclasses.asdict(measured)
    with contextlib.suppress(OSError):
        write_whole(_path(), (json.dumps(stored, indent=1) + "\n").encode())


def throughput(
    machine: str, checkpoint: str, mode: Mode, seconds_per_image: float = 0.0
) -> Throughput:
    """Return the best known time of an image.

    Args:
        machine: :data:`THIS_MACHINE`, or the name that :func:`vertex_machine` gives.
        checkpoint: its name.
        mode: with prompts or without.
        seconds_per_image: what the operator measured; 0 for nothing.

    Raises:
        OperatorError: nothing was measured on this machine, and nobody else can know its times.
    """
    if seconds_per_image:
        return Throughput(seconds=seconds_per_image, basis="your --seconds-per-image")
    stored = _stored().get(_key(machine, checkpoint, mode))
    if isinstance(stored, dict):
        with contextlib.suppress(TypeError):  # another version's
            return Throughput(**stored)
    if machine == THIS_MACHINE:
        raise OperatorError(
            f"nothing was measured on this machine yet for {checkpoint}, {mode}",
            hint="run a few images first, or give --seconds-per-image",
        )
    basis = PUBLISHED_BASIS
    if checkpoint != "vit_b":
        basis += f" (nothing is measured for {checkpoint} there)"
    return Throughput(seconds=PUBLISHED[mode], basis=basis)
