"""The summary of a run: figures for a program, lines for a person, too many failures an error."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scripts.terminal.errors import CLOUD, OperatorError
from serving.sam.plain_text import count, one_line

if TYPE_CHECKING:
    from pipeline.run.parameters import RunParameters
    from serving.storage import Folder

Summary = dict[str, Any]
_SHOWN_FAILURES = 3


def summary_of_output(
    parameters: RunParameters, output: Folder, metrics: Mapping[str, Any]
) -> Summary:
    """Return the summary of a run that has ended, from what it wrote to its output.

    Args:
        parameters: the run's.
        output: its folder.
        metrics: content of its ``metrics.json``.
    """
    from pipeline.run.output_layout import HTML

    return {
        "images": metrics["images"],
        "failed": metrics["failed"],
        "computed": metrics["run"]["computed"],
        "masks": metrics["masks"],
        "without_mask": metrics["without_mask"],
        "checkpoint": metrics["model"].get("name", ""),
        "demo_network": metrics["demo_network"],
        "engine": metrics["engine"],
        "coco": metrics.get("coco"),  # steps of an earlier image do not write it
        "report": output.uri_of(HTML),
        "too_many_failed": parameters.too_many_failed(metrics["failed"], metrics["images"]),
        "wall_seconds": metrics["run"]["wall_seconds"],
        "cost_usd": metrics["cost_usd"],
        "max_failed": parameters.max_failed,
        "first_failures": _first_failures(output) if metrics["failed"] else [],
    }


def _first_failures(output: Folder) -> list[dict[str, str]]:
    """The first failed images of a run with their reasons."""
    from pipeline.run.manifest import read_rows
    from pipeline.run.output_layout import FAILED

    rows = itertools.islice(read_rows(output, FAILED), _SHOWN_FAILURES)
    return [{"image": row.image, "reason": row.plain_reason} for row in rows]


def describe(summary: Summary) -> str:
    """Return the lines that an operator reads."""
    from pipeline.report.demo_network import demo_warning, real_work_commands

    done = summary["images"] - summary["failed"]
    earlier, empty = done - summary["computed"], summary["without_mask"]
    lines = [
        f"{count(summary['images'], 'image')}: {done} done"
        + (f" ({earlier} by an earlier run)" if earlier else "")
        + f", {summary['failed']} failed, {count(summary['masks'], 'mask')}"
        + (f", {empty} without a mask" if empty else "")
        + f", {summary['wall_seconds']:.1f} s"
    ]
    cost = summary.get("cost_usd")
    if cost and summary["engine"] == "vertex":
        lines.append(f"cost: ${cost['actual']:.2f}, estimated ${cost['estimated']:.2f}")
    if summary["failed"]:
        output = summary["report"].removesuffix("report.html")
        lines += [
            f"  {one_line(failure['image'])}: {one_line(failure['reason'])}"
            for failure in summary["first_failures"]
        ]
        more = summary["failed"] - len(summary["first_failures"])
        lines.append(
            (f"  and {more} more; " if more > 0 else "  ")
            + f"all reasons: {output}failed.jsonl (--only-failed retries)"
        )
    if summary.get("coco") == "":
        folder = summary["report"].removesuffix("/report.html")
        lines.append(f"too many masks for one COCO file: sam-vertex export {folder} --to coco-rle")
    lines.append(f"report: {summary['report']}")
    warning = demo_warning(summary["checkpoint"], done=done, without_mask=empty)
    if warning:
        lines.append(f"note: {warning}. For real work:")
        lines += [f"  {command}" for command in real_work_commands(summary["engine"])]
    return "\n".join(lines)


def refuse_too_many_failed(summary: Summary) -> None:
    """End a command whose run failed for more images than it may.

    Raises:
        OperatorError: it did.
    """
    if summary["too_many_failed"]:
        raise OperatorError(
            f"{summary['failed']} of {count(summary['images'], 'image')} failed, more than "
            f"--max-failed {summary['max_failed']:g}",
            hint="the lines above and the report name the reasons; fix the images and run again "
            "with --only-failed",
            exit_code=CLOUD,
        )
