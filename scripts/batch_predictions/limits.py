"""What a request of a batch prediction may ask for: refused before a machine bills for it."""

from __future__ import annotations

from pathlib import PurePosixPath

from scripts.costs.throughput import Mode, throughput
from scripts.terminal.errors import OperatorError
from serving.sam.known_checkpoints import find_entry
from serving.settings import BATCH_REQUEST_SECONDS, BATCH_SECONDS, ServingSettings


def check_batch_size(batch_size: int, machine: str, checkpoint_file: str, mode: Mode) -> None:
    """Refuse requests that would end without an answer.

    Args:
        batch_size: images in a request; the server computes them one after the other.
        machine: name under which the times of the job's machine are remembered.
        checkpoint_file: file name of the released checkpoint.
        mode: ``automatic`` if an image has no prompts.

    Raises:
        OperatorError: too many for the server, or too long for Vertex AI.
    """
    most = ServingSettings().max_instances
    if batch_size > most:
        raise OperatorError(
            f"--batch-size {batch_size}: the server takes at most {most} images in a request",
            hint=f"--batch-size {most} or less",
        )
    entry = find_entry(checkpoint_file)
    known = throughput(machine, entry.name if entry else PurePosixPath(checkpoint_file).stem, mode)
    seconds = batch_size * known.seconds
    if batch_size > 1 and seconds > BATCH_SECONDS:
        fitting = max(int(BATCH_SECONDS / known.seconds), 1)
        raise OperatorError(
            f"--batch-size {batch_size}: such a request takes about {seconds:.0f} s, and Vertex AI "
            f"waits {BATCH_REQUEST_SECONDS:.0f} s for it ({known.basis})",
            hint=f"--batch-size {fitting}",
        )
