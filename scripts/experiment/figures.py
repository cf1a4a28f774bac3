"""Table and plots of an experiment: time and cost against the number of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.commands.experiment import MODES, REFERENCE, rows_of
from scripts.costs.prices import prices
from scripts.terminal.amounts import duration

_COLOURS = {"automatic": "#1a66d6", "prompted": "#d4582a"}
_NAMES = {"automatic": "automatic", "prompted": "half with prompts"}


def table(result: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    text = (
        f"# Experiment, {result['date']}\n\n{result['checkpoint']}, {result['engine']}, "
        f"{result['machine']}, shards: {result['shards']}; "
        f"cost: {result['priced_as']}, {prices().basis}\n\n"
        "| images | mode | time | images/s | cost | failed |\n|---:|---|---:|---:|---:|---:|\n"
    )
    for mode in MODES:
        for row in rows_of(result, mode):
            text += (
                f"| {row['images']} | {_NAMES[mode]} | {duration(row['seconds'])} "
                f"| {row['images_per_second']:.2f} | ${row['usd']:.4f} | {row['failed']} |\n"
            )
    return text + "\n![time](time.png) ![cost](cost.png)\n"


def plot(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write ``time.png`` and ``cost.png``: log-log, both modes, the original's as reference."""
    hour = prices().shard_hour(4, "NVIDIA_TESLA_T4", 1) or 0.0
    time = _plot(result, folder / "time.png", "seconds", "time (s)", lambda minutes: minutes * 60)
    cost = _plot(
        result, folder / "cost.png", "usd", "cost (US dollars)", lambda minutes: minutes / 60 * hour
    )
    return [time, cost]


def _plot(result: dict[str, Any], path: Path, key: str, label: str, reference: Any) -> Path:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 5), dpi=130, layout="constrained")
    for mode in MODES:
        colour = _COLOURS[mode]
        rows = list(rows_of(result, mode))
        x, y = [row["images"] for row in rows], [row[key] for row in rows]
        axes.plot(x, y, "o-", color=colour, label=_NAMES[mode])
        other = [reference(minutes) for minutes in REFERENCE[f"{mode}_minutes"]]
        name = f"original, {mode} (another machine: T4)"
        axes.plot(REFERENCE["images"], other, ":", color=colour, alpha=0.6, label=name)
    axes.set(xscale="log", yscale="log", xlabel="images", ylabel=label)
    axes.set_title(
        f"{result['checkpoint']}, {result['engine']}, {result['machine']}, {result['date']}",
        fontsize=10,
    )
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(fontsize=8)
    note = str(REFERENCE["label"])
    if key == "usd":
        note = f"{prices().basis}\n{result['priced_as']}; {note}"
    figure.supxlabel(note, fontsize=6, color="#555")
    figure.savefig(path)
    pyplot.close(figure)
    return path
