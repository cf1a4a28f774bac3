"""The tables of ``docs/speed.md``, made from the newest results.

python -m tests.benchmarks.table                 # print them
python -m tests.contracts.generated --write      # put them into the page
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
Json = dict[str, Any]


def newest(name: str) -> Json | None:
    """The newest result of a benchmark, by the date in its name."""
    files = sorted(RESULTS.glob(f"{name}-20*.json"))
    return json.loads(files[-1].read_text("utf-8")) if files else None


def _median(side: Json | None) -> float | None:
    return None if side is None else float(side["median"])


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def _against(reference: float | None, value: float | None) -> str:
    return "" if not reference or not value else f"{reference / value:.1f}x"


def masks_table(result: Json) -> list[str]:
    """Automatic and prompted masks, a row each way, a column each allocator."""
    lines = [
        f"{result['model']} ({result['image']}, {result['points_per_side']} points a side), "
        f"{result['machine']}, torch {result['torch']}, {result['date']}; medians of "
        f"{result['repeats']}, in turn.",
        "",
        "| automatic masks of one image | stock allocator | | freed memory kept | | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    stock, warm = result.get("stock"), result.get("warm")

    def row(label: str, side: str) -> str:
        cells = [label]
        for part in (stock, warm):
            seconds = part.get("seconds", {}) if part else {}
            value, official = _median(seconds.get(side)), _median(seconds.get("official"))
            cells += [_seconds(value), _against(official, value)]
        peaks = [
            part["peak_gb"][side]
            for part in (stock, warm)
            if part and side in part.get("peak_gb", {})
        ]
        cells.append(f"{max(peaks):.1f} GB" if peaks else "")
        return "| " + " | ".join(cells) + " |"

    lines.append(row("`segment-anything` 1.0", "official"))
    if stock and "transformers" in stock.get("seconds", {}):
        lines.append(row("transformers, mask-generation pipeline", "transformers"))
    original = result.get("original")
    if original:
        once = _median(original["automatic"]["original"])
        request = original["request"]
        step = original["step"]
        each = _median(step["original"]) or 0.0
        lines += [
            f"| the predecessor's request (nested lists; once) | {_seconds(once)} | | | | "
            f"{original['peak_gb']:.1f} GB |",
            f"| the predecessor's pipeline step ({step['images']} images, results kept; each) | "
            f"{_seconds(each / step['images'])} | | | | {original['step_peak_gb']:.1f} GB |",
        ]
        theirs, ours = _median(request["original"]), _median(request["ours-fp32"])
        after = (
            f"A prompted request the predecessor's way: {_seconds(theirs)}, ours {_seconds(ours)}."
        )
    lines += [row("**ours**, exact (fp32)", "ours-fp32"), row("**ours**, bf16", "ours-bf16"), ""]
    lines += [
        "| a prompt | official | ours, fp32 | | ours, bf16 | |",
        "|---|---|---|---|---|---|",
    ]
    for allocator, part in (("stock", stock), ("kept", warm)):
        if not part:
            continue
        prompted = part["prompted"]
        for label, steps in (
            (f"new image and one point, {allocator}", ("embed", "point")),
            (f"another point on it, {allocator}", ("point",)),
            (f"64 points on it, {allocator}", ("many",)),
        ):
            total = {
                side: sum(float(prompted[step][side]["median"]) for step in steps)
                for side in ("official", "ours-fp32", "ours-bf16")
            }
            cells = [label, _seconds(total["official"])]
            for side in ("ours-fp32", "ours-bf16"):
                cells += [_seconds(total[side]), _against(total["official"], total[side])]
            lines.append("| " + " | ".join(cells) + " |")
    if original:
        lines += ["", after]
    agreed = (warm or stock or {}).get("agreement", {})
    for side, label in (("ours-fp32", "fp32"), ("ours-bf16", "bf16")):
        if side in agreed:
            matches = agreed[side]
            unmatched = matches["found"] - matches["matched"]
            lines += [
                "",
                f"{label}: {matches['matched']} of the {matches['reference']} official masks "
                f"matched (lowest IoU {matches['lowest_iou']:.4f}), {unmatched} without a partner.",
            ]
    return lines


def before_after_table(result: Json) -> list[str]:
    """The engine before and after a change, beside the official code."""
    sides = ("official", "before, fp32", "now, fp32", "before, bf16", "now, bf16")
    repeats = result["repeats"]
    times = "each once" if repeats == 1 else f"medians of {repeats}, the official code once"
    lines = [
        "",
        f"{result['model']}, three photographs at {result['image']}, {result['points_per_side']} "
        f"points a side, freed memory kept, {result['machine']}, torch {result['torch']}, "
        f"{result['date']}: before is commit {result['before']}; all sides in turn, {times}.",
        "",
        "| | " + " | ".join(sides) + " |",
        "|---" * (len(sides) + 1) + "|",
    ]
    for name, each in result["photographs"].items():
        kept = sorted(set(each["masks"].values()))
        label = f"{name}: {each['candidates']} candidates, {' or '.join(map(str, kept))} kept"
        for step, values in (("", each["automatic"]), (", of which embedding", each["embed"])):
            cells = [_seconds(values[side]) for side in sides]
            lines.append(f"| {label}{step} | " + " | ".join(cells) + " |")
            label = name
        points = [each["point"][side] for side in sides]
        cells = [f"{point['p50_ms']:.0f} / {point['p95_ms']:.0f} ms" for point in points]
        lines.append(f"| {name}: a point, median / 95th percentile | " + " | ".join(cells) + " |")
    return lines


def parity_table(result: Json) -> list[str]:
    """Share of matching masks by network and precision."""
    lines = [
        "",
        "| agreement with the official generator | images | its masks | ours | matched |",
        "|---|---|---|---|---|",
    ]
    for name, run in result["runs"].items():
        images = run["images"].values()
        counts = [sum(each[key] for each in images) for key in ("reference", "found", "matched")]
        least = 0.99 if name.endswith("fp32") else 0.95
        lines.append(
            f"| {name} | {len(run['images'])} | {counts[0]} | {counts[1]} | "
            f"{run['share']:.1%} at IoU {least} |"
        )
    return lines


def growth_table(result: Json) -> list[str]:
    """Cost by size and by number of prompts, and whole runs."""
    lines = ["", "| ours, fp32, as its commands start it | |", "|---|---|"]
    lines += [f"| {label} | {_seconds(value)} |" for label, value in result["seconds"].items()]
    for name, run in result["runs"].items():
        lines.append(
            f"| {name} | {run['images_per_minute']:.1f} images/minute, {run['peak_gb']:.1f} GB |"
        )
    return lines


def speed() -> str:
    """All tables as Markdown."""
    parts: list[str] = []
    tables = {
        "masks": masks_table,
        "before-after": before_after_table,
        "parity": parity_table,
        "growth": growth_table,
    }
    for name, table in tables.items():
        result = newest(name)
        if result is not None:
            parts += table(result)
    return "\n".join(parts).strip()


if __name__ == "__main__":
    print(speed())
