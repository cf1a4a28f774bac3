"""A run's summary in an operator's lines, and too many failures as an error."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.report.demo_network import demo_warning
from scripts.runs.summary import describe, refuse_too_many_failed
from scripts.terminal.errors import OperatorError


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "images": 5, "failed": 0, "computed": 5, "masks": 40, "wall_seconds": 12.34,
        "report": "out/report.html", "too_many_failed": False, "without_mask": 0,
        "checkpoint": "vit_b", "demo_network": False, "engine": "local", "max_failed": 0.5,
        "first_failures": [], **changes,
    }  # fmt: skip


def test_summary_of_a_clean_run_is_two_lines() -> None:
    assert describe(summary()).splitlines() == [
        "5 images: 5 done, 0 failed, 40 masks, 12.3 s",
        "report: out/report.html",
    ]


def test_summary_names_earlier_images_failures_and_cost() -> None:
    cost = {"actual": 0.5, "estimated": 0.25}
    first = [{"image": "a\nb.jpg", "reason": "no\nimage"}]
    text = describe(
        summary(
            failed=1, computed=3, cost_usd=cost, report="gs://b/run/report.html", engine="vertex",
            first_failures=first,
        )
    )  # fmt: skip
    assert text.splitlines() == [
        "5 images: 4 done (1 by an earlier run), 1 failed, 40 masks, 12.3 s",
        "cost: $0.50, estimated $0.25",
        "  a b.jpg: no image",
        "  all reasons: gs://b/run/failed.jsonl (--only-failed retries)",
        "report: gs://b/run/report.html",
    ]


def test_summary_of_the_demo_network_says_so_and_names_the_commands_for_real_work() -> None:
    lines = describe(
        summary(checkpoint="vit_tiny", failed=1, computed=4, without_mask=2)
    ).splitlines()
    assert lines[0] == "5 images: 4 done, 1 failed, 40 masks, 2 without a mask, 12.3 s"
    assert lines[-3:] == [
        "note: vit_tiny is a demo network; 2 of 4 images have no mask. For real work:",
        "  sam-vertex checkpoint fetch vit_b",
        "  sam-vertex run INPUT --checkpoint vit_b --output OUTPUT",
    ]
    on_vertex = describe(summary(checkpoint="vit_tiny", engine="vertex"))
    assert "sam-vertex checkpoint upload vit_b" in on_vertex


def test_summary_counts_one_image_in_the_singular() -> None:
    text = describe(summary(images=1, computed=1, masks=1))
    assert text.startswith("1 image: 1 done, 0 failed, 1 mask, 12.3 s\n")


@pytest.mark.parametrize(
    ("done", "empty", "said"),
    [
        (4, 1, "1 of 4 images has no mask"),
        (4, 0, "0 of 4 images have no mask"),
        (1, 1, "1 of 1 image has no mask"),
    ],
)
def test_demo_network_counts_in_english(done: int, empty: int, said: str) -> None:
    assert said in demo_warning("vit_tiny", done=done, without_mask=empty)


def test_too_many_failures_are_the_clouds_fault_and_few_are_none() -> None:
    refuse_too_many_failed(summary(failed=1))
    said = r"4 of 5 images failed, more than --max-failed 0\.5"
    with pytest.raises(OperatorError, match=said) as caught:
        refuse_too_many_failed(summary(failed=4, too_many_failed=True))
    assert caught.value.exit_code == 1
