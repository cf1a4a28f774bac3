"""What can be refused before a run writes or computes anything."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.runs.earlier_results import check_earlier_results
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import report_line

if TYPE_CHECKING:
    from pipeline.run.input_images import InputImage
    from pipeline.run.parameters import RunParameters


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedRun:
    """What is known of a run before it begins.

    Attributes:
        images: what it segments.
        finished: how many of them an earlier run has done under the same settings.
    """

    images: list[InputImage]
    finished: int


def check_run(parameters: RunParameters, *, dry: bool = False) -> CheckedRun:
    """Refuse a run whose inputs, prompts, checkpoint or output cannot be used.

    Args:
        parameters: the run's.
        dry: leave the output as it is, so that nobody knows whether it can be written.

    Raises:
        RunError, SamError, StorageError: an input, the prompts or the checkpoint cannot be used.
        OperatorError, FullDiskError: the output cannot be written.
    """
    from pipeline.run.checkpoint_source import check_checkpoint
    from pipeline.run.guarded_output import refuse_awaited_batch
    from pipeline.run.input_images import find_images
    from serving.storage import FullDiskError, local_error, open_folder

    images = find_images(parameters, report_line)
    check_checkpoint(parameters.checkpoint)
    output = open_folder(parameters.output)
    refuse_awaited_batch(output)
    if output.is_local and not dry:
        try:
            Path(output.uri).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=output.uri):
                pass
        except OSError as error:
            explained = local_error(output.uri, error)
            if isinstance(explained, FullDiskError):
                raise explained from error
            if Path(output.uri).is_file():
                raise OperatorError(
                    f"{output.uri} is a file, not a folder", hint="choose another --output"
                ) from error
            raise OperatorError(
                f"cannot write to {output.uri}: {error.strerror or error}",
                hint="choose another --output, or make that folder writable",
            ) from error
    return CheckedRun(images, check_earlier_results(parameters, images, output))
