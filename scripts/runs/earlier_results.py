"""What an earlier run left in the output and what becomes of it, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import report_line
from serving.sam.plain_text import count

if TYPE_CHECKING:
    from pipeline.run.input_images import InputImage
    from pipeline.run.parameters import RunParameters
    from serving.storage import Folder

_ONLY_PICTURES = ("--max-masks ", "--pictures ")  # they decide no mask
_INPUTS = "inputs"  # the only setting that does not decide an image's masks


def check_earlier_results(
    parameters: RunParameters, images: Sequence[InputImage], output: Folder
) -> int:
    """Say what this run will change of an earlier run's results; refuse to lose some by mistake.

    The same inputs may have fewer images than before: somebody has removed them. Other inputs over
    the same output are more likely a mistake.

    Args:
        parameters: the run's.
        images: what it segments.
        output: its folder.

    Returns:
        How many of the images an earlier run has done under the same settings.

    Raises:
        OperatorError: images of the earlier run would leave the results.
        StorageError: the output cannot be read.
    """
    from pipeline.run.output_layout import MANIFEST

    finished = _finished_images(output)
    if not finished:
        return 0
    earlier = _settings(output)
    names = {image.name for image in images}
    gone = [name for name in finished if name not in names]
    if gone:
        dropped = f"{count(len(gone), 'image')} of the earlier run ({gone[0]}"
        dropped += ", ...)" if len(gone) > 1 else ")"
        if earlier.get(_INPUTS) != list(parameters.inputs):
            raise OperatorError(
                f"{output.uri} holds the results of other inputs; this run would drop {dropped}",
                hint="choose another --output, name the earlier inputs as well, or delete that "
                "folder first",
            )
        report_line(
            f"{dropped} no longer among the inputs: left out of {MANIFEST}, the data set and the "
            "report; their files stay"
        )
    changes = _changes(earlier, parameters.settings(len(images)))
    kept = len(finished) - len(gone)
    if changes and kept:
        what = f"other settings than the last run's ({'; '.join(changes)})"
        if parameters.only_failed:
            raise OperatorError(
                f"--only-failed with {what}: {count(kept, 'finished image')} would not fit",
                hint="give the earlier run's options too, or leave out --only-failed",
            )
        anew = "computed"
        if all(change.startswith(_ONLY_PICTURES) for change in changes):
            anew = "drawn"  # their masks stay
        report_line(f"{what}: up to {count(kept, 'image')} will be {anew} anew")
        return 0
    return kept


def _finished_images(output: Folder) -> list[str]:
    """The names of the images that have masks in the earlier run's manifest."""
    from pipeline.run.manifest import DamagedFileError, read_rows
    from pipeline.run.output_layout import MANIFEST

    if not output.exists(MANIFEST):
        return []
    try:
        return [row.image for row in read_rows(output, MANIFEST) if row.status == "done"]
    except DamagedFileError:  # this run writes it anew
        return []


def _settings(output: Folder) -> Mapping[str, Any]:
    """The earlier run's, as ``RunParameters.settings``; empty where a run before 0.8 left none."""
    from pipeline.run.manifest import read_json
    from pipeline.run.output_layout import METRICS

    if not output.exists(METRICS):
        return {}
    try:
        settings = read_json(output, METRICS).get("settings", {})
    except (ValueError, AttributeError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each option that differs, with both values."""
    return [
        f"--{name.replace('_', '-')} {_shown(value)}, was {_shown(earlier[name])}"
        for name, value in now.items()
        if name != _INPUTS and name in earlier and earlier[name] != value
    ]


def _shown(value: object) -> str:
    return "not given" if value in (None, "") else str(value)
