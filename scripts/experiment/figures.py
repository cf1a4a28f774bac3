"""Table and plots of an experiment: time and cost against the number of images."""

from __future__ import annotations

import dataclasses
import math
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
        The table for a terminal, and the paths of the plots.
    """
    (folder / "experiment.md").write_text(table(result), "utf-8")
    return plain_table(result), plot(result, folder)


def plain_table(result: Result) -> str:
    """Return the measurements in columns, for a terminal."""
    lines = [f"{'images':>7}  {'mode':17} {'time':>8} {'images/s':>9} {'cost':>9} {'failed':>7}"]
    lines += [
        f"{row['images']:7}  {_NAMES[mode]:17} {duration(row['seconds']):>8} "
        f"{row['images_per_second']:9.2f} {dollars(row['usd']):>9} {row['failed']:7}"
        for mode in MODES
        for row in rows_of(result, mode)
    ]
    return "\n".join([*lines, f"cost: {result['priced_as']}"])


def dollars(usd: float) -> str:
    """An amount with two digits that say something, however small it is."""
    decimals = 2 if usd >= 0.1 or usd <= 0 else 1 - math.floor(math.log10(usd))
    return f"${usd:,.{decimals}f}"


def table(result: Result) -> str:
    """Return the measurements as Markdown."""
    heading = (
        f"# Experiment, {result['date']}\n\n{result['checkpoint']}, {result['engine']}, "
        f"{result['machine']}, shards: {result['shards']}; "
        f"cost: {result['priced_as']}, {prices().basis}\n\n"
    )
    rows = [
        f"| {row['images']} | {_NAMES[mode]} | {duration(row['seconds'])} "
        f"| {row['images_per_second']:.2f} | {dollars(row['usd'])} | {row['failed']} |\n"
        for mode in MODES
        for row in rows_of(result, mode)
    ]
    return heading + _TABLE_HEAD + "".join(rows) + "\n![time](time.png) ![cost](cost.png)\n"


def plot(result: Result, folder: Path) -> list[Path]:
    """Write ``time.png`` and ``cost.png``: log-log, both modes, the original's as reference."""
    usd_an_hour = prices().shard_hour(4, "NVIDIA_TESLA_T4", 1) or 0.0
    time = _Quantity(key="seconds", label="time", of_reference=lambda minutes: minutes * 60)
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
        name = f"original, {mode}: vit_b on a T4, not comparable"
        axes.plot(REFERENCE["images"], reference, ":", color=colour, alpha=0.6, label=name)
    axes.set(xscale="log", yscale="log", xlabel="images", ylabel=quantity.label)
    what = "Time" if quantity.key == "seconds" else "Cost"
    axes.set_title(f"{what} of a run against its number of images", fontsize=11)
    figure.suptitle(
        f"{result['checkpoint']}, {result['engine']}, {result['machine']}, {result['date']}",
        fontsize=8,
        color="#555",
    )
    if quantity.key == "usd":
        axes.yaxis.set_major_formatter(lambda usd, _position: dollars(usd))
    else:
        axes.yaxis.set_major_formatter(lambda seconds, _position: duration(seconds))
    axes.xaxis.set_major_formatter(lambda images, _position: f"{images:,.0f}")
    axes.grid(True, which="both", alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    by_side = sorted(range(len(labels)), key=lambda number: number % 2)  # measured, then original
    axes.legend([handles[n] for n in by_side], [labels[n] for n in by_side], fontsize=8)
    note = str(REFERENCE["label"])
    if quantity.key == "usd":
        note = f"{prices().basis}\n{result['priced_as']}; {note}"
    figure.supxlabel(note, fontsize=6, color="#555")
    figure.savefig(path)
    pyplot.close(figure)
    return path
