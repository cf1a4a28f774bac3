"""``sam-vertex cost``: predictions here and on Vertex AI, from one table of prices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scripts.checkout import PLATFORM
from scripts.cli import app
from scripts.costs import prices as table
from scripts.costs.throughput import THIS_MACHINE, remember
from tests.stand_ins.outputs import platform_outputs


@pytest.fixture(autouse=True)
def fresh_table() -> None:
    table._table.cache_clear()


def cost(*arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["cost", *arguments])
    assert done.exit_code == code, done.output
    return done


def metrics(prompted: int = 0, computed: int = 10) -> dict[str, Any]:
    return {
        "prompted": prompted, "done": computed, "megapixels": 20.0, "model": {"name": "vit_b"},
        "seconds_per_stage": {"read": 1.0, "segment": 30.0, "draw": 3.0},
        "device": "cpu", "run": {"computed": computed, "shard_seconds": 40.0},
    }  # fmt: skip


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
    refused = cost(*arguments, "--capacity", "spot", code=2).output
    assert "--capacity: these are for --engine vertex" in refused


def test_cost_command_predicts_a_run() -> None:
    result = json.loads(
        cost("--images", "1000", "--shards", "4", "--parallel", "4", "--json").stdout
    )
    hour = 4 * 0.0546247 + 0.4025
    seconds = 240 + 300 + 1000 * 12.7 / 4
    assert result["seconds"] == pytest.approx(seconds)
    assert result["usd"] == pytest.approx((240 + 4 * 300 + 12700) / 3600 * hour + 0.03, abs=1e-3)
    text = cost("--images", "1000", "--capacity", "spot", "--region", "europe-west4").stdout
    assert "not in the table" in text and "spot prices change" in text and "2026-10-04" in text


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


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (("--images", "5", "--checkpoint", "vit_tny"), "no such checkpoint", "mean vit_tiny"),
        (("--images", "0"), "--images: expected a whole number of at least 1", "--help"),
    ],
)
def test_what_has_no_price_is_refused(arguments: tuple[str, ...], said: str, hint: str) -> None:
    output = cost(*arguments, code=2).output
    assert said in output and hint in output


def test_a_checkpoint_of_ones_own_is_known_once_it_was_measured() -> None:
    remember({**metrics(), "model": {"name": "mine"}}, THIS_MACHINE)
    cost("--images", "5", "--engine", "local", "--checkpoint", "mine")


def test_a_deployment_that_is_gone_is_said_so(tmp_path: Path, bucket: Callable[[str], str]) -> None:
    bucket("any")  # the stand-in of Cloud Storage is there, the deployment's bucket is not
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({PLATFORM: platform_outputs("gone-project")}))
    output = cost("--outputs", str(outputs), code=2).output
    assert "error: the deployment in the outputs is gone: there is no bucket" in output


def test_prediction_and_actuals_are_not_asked_for_at_once() -> None:
    assert "give one of them" in cost("--images", "5", "--run", "out", code=2).output


def test_machine_without_a_price_is_named() -> None:
    assert "no price is known" in cost("--images", "9", "--accelerator", "TPU", code=2).output
