"""Table and plots of an experiment: time and cost against the number of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from scripts.costs.prices import prices
from scripts.experiment.results import MODES, REFERENCE, Mode, Result, rows_of
from scripts.terminal.amounts import duration

_COLOURS: dict[Mode, str] = {"automatic": "#1a66d6", "prompted": "#d4582a"}
_NAMES: dict[Mode, str] = {"automatic": "automatic", "prompted": "half with prompts"}
_TABLE_HEAD = """\
| images | mode | time | images/s | cost | failed |
|---:|---|---:|---:|---:|---:|
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Quantity:
    """What a plot shows.

    Attributes:
        key: of a row.
        label: of the axis.
        of_reference: turns the reference's minutes into the same unit.
    """

    key: Literal["seconds", "usd"]
    label: str
    of_reference: Callable[[float], float]


def write_figures(result: Result, folder: Path) -> tuple[str, list[Path]]:
    """Write ``experiment.md``, ``time.png`` and ``cost.png``.

    Returns:
        The table as Markdown, and the paths of the plots.
    """
    text = table(result)
    (folder / "experiment.md").write_text(text, "utf-8")
    return text, plot(result, folder)


def table(result: Result) -> str:
    """Return the measurements as Markdown."""
    heading = (
        f"# Experiment, {result['date']}\n\n{result['checkpoint']}, {result['engine']}, "
        f"{result['machine']}, shards: {result['shards']}; "
        f"cost: {result['priced_as']}, {prices().basis}\n\n"
    )
    rows = [
        f"| {row['images']} | {_NAMES[mode]} | {duration(row['seconds'])} "
        f"| {row['images_per_second']:.2f} | ${row['usd']:.4f} | {row['failed']} |\n"
        for mode in MODES
        for row in rows_of(result, mode)
    ]
    return heading + _TABLE_HEAD + "".join(rows) + "\n![time](time.png) ![cost](cost.png)\n"


def plot(result: Result, folder: Path) -> list[Path]:
    """Write ``time.png`` and ``cost.png``: log-log, both modes, the original's as reference."""
    usd_an_hour = prices().shard_hour(4, "NVIDIA_TESLA_T4", 1) or 0.0
    time = _Quantity(key="seconds", label="time (s)", of_reference=lambda minutes: minutes * 60)
    cost = _Quantity(
        key="usd",
        label="cost (US dollars)",
        of_reference=lambda minutes: minutes / 60 * usd_an_hour,
    )
    return [_plot(result, folder / "time.png", time), _plot(result, folder / "cost.png", cost)]


def _plot(result: Result, path: Path, quantity: _Quantity) -> Path:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 5), dpi=130, layout="constrained")
    for mode in MODES:
        colour = _COLOURS[mode]
        rows = list(rows_of(result, mode))
        x, y = [row["images"] for row in rows], [row[quantity.key] for row in rows]
        axes.plot(x, y, "o-", color=colour, label=_NAMES[mode])
        reference = [quantity.of_reference(minutes) for minutes in REFERENCE[f"{mode}_minutes"]]
        name = f"original, {mode} (another machine: T4)"
        axes.plot(REFERENCE["images"], reference, ":", color=colour, alpha=0.6, label=name)
    axes.set(xscale="log", yscale="log", xlabel="images", ylabel=quantity.label)
    axes.set_title(
        f"{result['checkpoint']}, {result['engine']}, {result['machine']}, {result['date']}",
        fontsize=10,
    )
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(fontsize=8)
    note = str(REFERENCE["label"])
    if quantity.key == "usd":
        note = f"{prices().basis}\n{result['priced_as']}; {note}"
    figure.supxlabel(note, fontsize=6, color="#555")
    figure.savefig(path)
    pyplot.close(figure)
    return path
