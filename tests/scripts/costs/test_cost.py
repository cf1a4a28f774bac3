"""Predictions: arithmetic that can be checked by hand, figures with their origin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scripts.checkpoints.cache import cache_folder
from scripts.cli import app
from scripts.costs import prices as table
from scripts.costs.estimates import Work, estimate
from scripts.costs.throughput import PUBLISHED, THIS_MACHINE, Throughput, remember, throughput
from scripts.terminal.amounts import duration
from scripts.terminal.errors import OperatorError


@pytest.fixture(autouse=True)
def fresh_table() -> None:
    table._table.cache_clear()


def cost(*arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["cost", *arguments])
    assert done.exit_code == code, done.output
    return done


def test_estimate_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """1000 images of 3 s and 200 prompted of 0.5 s on four machines, two at a time."""
    estimated = estimate(
        Work(automatic=1000, prompted=200, shards=4, parallel=2),
        Throughput(seconds=3.0, basis="here"),
        Throughput(seconds=0.5, basis="there"),
        usd_per_shard_hour=0.6,
        usd_per_run=0.03,
        start_seconds=300,
        coordinators_seconds=120,
    )
    compute = 1000 * 3.0 + 200 * 0.5
    assert estimated.seconds == pytest.approx(120 + 2 * (300 + compute / 4))
    assert estimated.usd == pytest.approx((120 + 4 * 300 + compute) / 3600 * 0.6 + 0.03)
    for text in ("here", "there", "2026-10-04", "start-up assumed"):
        assert text in estimated.basis


def test_estimate_of_large_images_is_bound_by_what_goes_on_beside_the_network() -> None:
    measured = Throughput(seconds=1.0, beside=0.2, basis="measured")
    assert measured.seconds_for(1) == 1.0
    assert measured.seconds_for(50) == 10.0


def test_more_shards_than_images_cost_nothing_more() -> None:
    times = Throughput(seconds=1.0, basis="x")
    few, many = (
        estimate(Work(automatic=3, shards=n, parallel=n), times, times, usd_per_shard_hour=1.0)
        for n in (3, 50)
    )
    assert few.usd == many.usd and few.seconds == many.seconds


def metrics(prompted: int = 0, computed: int = 10) -> dict[str, Any]:
    return {
        "prompted": prompted, "done": computed, "megapixels": 20.0, "model": {"name": "vit_b"},
        "seconds_per_stage": {"read": 1.0, "segment": 30.0, "draw": 3.0},
        "device": "cpu", "run": {"computed": computed, "shard_seconds": 40.0},
    }  # fmt: skip


def test_throughput_is_remembered_from_runs_and_says_its_origin() -> None:
    assert (
        throughput("vertex, NVIDIA_TESLA_T4", "vit_b", "automatic").seconds
        == PUBLISHED["automatic"]
    )
    remember(metrics(), "vertex, NVIDIA_TESLA_T4")
    times = throughput("vertex, NVIDIA_TESLA_T4", "vit_b", "automatic")
    assert times.seconds == 4.0 and times.beside == pytest.approx(0.2)
    assert "measured on" in times.basis and "10 images" in times.basis
    # What was measured with prompts, elsewhere or over two images says nothing of this.
    assert throughput("vertex, NVIDIA_TESLA_T4", "vit_b", "prompted").seconds == 3.15
    remember(metrics(prompted=10, computed=2), "vertex, NVIDIA_L4")
    remember(metrics(prompted=5), "vertex, NVIDIA_L4")
    assert "original" in throughput("vertex, NVIDIA_L4", "vit_b", "prompted").basis
    with pytest.raises(OperatorError, match="nothing was measured on this machine"):
        throughput(THIS_MACHINE, "vit_b", "automatic")
    assert throughput(THIS_MACHINE, "vit_b", "automatic", 2.5).seconds == 2.5


def test_times_of_another_version_are_ignored() -> None:
    remember(metrics(), THIS_MACHINE)
    file = cache_folder().parent / "throughput.json"
    file.write_text(file.read_text().replace('"beside"', '"of a later version"'))
    with pytest.raises(OperatorError, match="nothing was measured on this machine"):
        throughput(THIS_MACHINE, "vit_b", "automatic")


def test_cost_command_predicts_a_run_on_this_machine_from_earlier_ones() -> None:
    arguments = ("--images", "100", "--engine", "local", "--shards", "4")
    assert "nothing was measured on this machine" in cost(*arguments, code=2).output
    remember(metrics(), THIS_MACHINE)
    result = json.loads(cost(*arguments, "--json").stdout)
    assert result["seconds"] == 100 * 4.0, "shards are computed one after the other"
    assert result["usd"] == 0 and "list prices" not in result["basis"]
    text = cost(*arguments).stdout
    assert "100 images: 7 min, on this machine" in text and "10 images, local, cpu" in text
    assert "with prompts" not in text
    assert "nothing was measured" in cost(*arguments, "--prompted", "0.5", code=2).output
    assert "--spot: these are for --engine vertex" in cost(*arguments, "--spot", code=2).output


def test_cost_command_predicts_a_run() -> None:
    result = json.loads(cost("--images", "1000", "--shards", "4", "--json").stdout)
    hour = 4 * 0.0546247 + 0.4025
    seconds = 240 + 300 + 1000 * 12.7 / 4
    assert result["seconds"] == pytest.approx(seconds)
    assert result["usd"] == pytest.approx((240 + 4 * 300 + 12700) / 3600 * hour + 0.03, abs=1e-3)
    text = cost("--images", "1000", "--spot", "--region", "europe-west4").stdout
    assert "not in the table" in text and "as if spot" in text and "2026-10-04" in text


def test_prices_may_be_overridden_and_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "mine.json"
    own.write_text(json.dumps({"usd": {"pipeline_t4_hour": 10.0}}))
    monkeypatch.setenv("SAM_PRICES", str(own))
    text = cost("--images", "100", "--seconds-per-image", "36").stdout
    assert "$10.2" in text and "mine.json" in text
    own.write_text(json.dumps({"usd": {"pipeline_t4_hour": "much"}}))
    table._table.cache_clear()
    done = cost("--images", "100", code=2)
    assert "mine.json" in done.output and "hint: " in done.output


def test_unknown_machine_has_no_price() -> None:
    assert table.prices().serving_hour("n1-standard-4", "NVIDIA_TESLA_T4", 1) == pytest.approx(
        0.639, abs=1e-3
    )
    assert table.prices().serving_hour("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1) is None
    assert "no price is known" in cost("--images", "9", "--accelerator", "TPU", code=2).output


def test_every_price_names_its_source() -> None:
    content = json.loads(table.TABLE.read_text("utf-8"))
    assert content["as_of"] and content["leaves_out"]
    assert all(row["value"] > 0 and row["source"] for row in content["usd"].values())


def test_duration_reads_as_people_say_it() -> None:
    assert [duration(s) for s in (5, 600, 9000)] == ["5 s", "10 min", "2.5 h"]


def test_prediction_and_actuals_are_not_asked_for_at_once() -> None:
    assert "give one of them" in cost("--images", "5", "--run", "out", code=2).output
