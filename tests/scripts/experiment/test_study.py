"""The experiment: batches by a seed, both modes measured, table and plots, resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.run.parameters import RunParameters
from scripts.commands.experiment import parse_sizes
from scripts.costs.throughput import THIS_MACHINE, remember
from scripts.experiment.results import Mode, read_result, write_result
from scripts.experiment.runner import BatchRunner
from scripts.experiment.study import Study
from scripts.terminal.errors import OperatorError
from tests.command_line import sam_vertex
from tests.conftest import draw_scene

PROGRAM = str(Path(sys.executable).with_name("sam-vertex"))


def experiment(images: Path, output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            PROGRAM, "experiment", str(images), "--output", str(output), "--sizes", "2,4",
            "--points-per-side", "4", *arguments,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_prepared_batches_hold_the_images_and_prompts_of_half_of_them(
    image_folder: Path, tmp_path: Path
) -> None:
    arguments = ("experiment", image_folder, "--sizes", "4", "--prepare-only", "--json")
    done = sam_vertex(*arguments, "--output", tmp_path / "study")
    assert done.returncode == 0, done.stderr
    batch = Path(json.loads(done.stdout)["4"])
    names = {path.name for path in (batch / "images").iterdir()}
    prompts = json.loads((batch / "prompts.json").read_text())
    assert (len(names), len(prompts)) == (4, 2)
    assert set(prompts) <= names
    assert not (tmp_path / "study" / "experiment.json").exists()


def test_experiment_measures_both_modes_and_draws_them(image_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "study"
    done = experiment(image_folder, output, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads((output / "experiment.json").read_text())
    assert json.loads(done.stdout) == result
    rows = {(row["mode"], row["images"]): row for row in result["rows"]}
    assert set(rows) == {(mode, n) for mode in ("automatic", "prompted") for n in (2, 4)}
    for (mode, count), row in rows.items():
        assert row["seconds"] > 0 and row["usd"] > 0 and row["failed"] == 0
        assert row["prompted"] == (count // 2 if mode == "prompted" else 0)
    assert "another machine" in result["reference"]["label"]
    table = (output / "experiment.md").read_text()
    assert table.count("\n| ") == 5 and "half with prompts" in table
    for name in ("time.png", "cost.png"):
        picture = np.asarray(Image.open(output / name).convert("RGB"))
        assert picture.shape[0] > 400 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 100

    before = (output / "experiment.json").read_bytes()
    again = experiment(image_folder, output)
    assert again.returncode == 0 and "images, automatic" not in again.stderr
    assert (output / "experiment.json").read_bytes() == before


def test_batches_are_replicas_under_unique_names_and_the_seed_chooses(
    image_folder: Path, tmp_path: Path
) -> None:
    chosen: list[set[str]] = []
    for seed in (0, 0, 1):
        folder = tmp_path / f"study-{len(chosen)}"
        batch = Study([str(image_folder)], folder, "", seed).write_batch(20)
        names = sorted(path.name for path in (batch / "images").iterdir())
        assert len(names) == 20
        prompts = json.loads((batch / "prompts.json").read_text())
        assert len(prompts) == 10 and set(prompts) <= set(names)
        chosen.append(set(prompts))
    assert chosen[0] == chosen[1] != chosen[2]


def test_batch_of_other_seeds_is_another_batch(image_folder: Path, tmp_path: Path) -> None:
    """In the same folder: what was prepared and measured before is not taken for it."""
    images, study = [str(image_folder)], tmp_path / "study"
    first = Study(images, study, "", 0)
    settings = {"engine": "local", **first.settings()}
    write_result(study, {**read_result(study, settings), "rows": [{"images": 2}]})
    assert read_result(study, settings)["rows"] == [{"images": 2}]
    other = Study(images, study, "", 1)
    assert other.write_batch(4) != first.write_batch(4)
    assert read_result(study, {**settings, **other.settings()})["rows"] == []
    Image.fromarray(draw_scene(50, 50)).save(image_folder / "a.png")
    changed = Study(images, study, "", 0)
    assert changed.write_batch(4) != first.write_batch(4)


def test_prompts_of_the_seed_images_go_with_their_replicas(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.fromarray(draw_scene(80, 60)).save(image)
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"a.png": [{"box": [1, 2, 30, 40]}]}))
    batch = Study([str(image)], tmp_path / "study", str(prompts), 0).write_batch(4)
    prompts_written = json.loads((batch / "prompts.json").read_text())
    assert list(prompts_written.values()) == [[{"box": [1.0, 2.0, 30.0, 40.0]}]] * 2


@pytest.mark.parametrize("text", ["", "5,x", "0", "-3", "1000000"])
def test_wrong_sizes_are_named(text: str) -> None:
    with pytest.raises(OperatorError, match="--sizes"):
        parse_sizes(text)


def test_what_an_experiment_here_will_take_is_said_before_it_begins(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3310 images began without a word."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runner = BatchRunner(
        engine="local", checkpoint="vit_tiny", shards=1, points_per_side=None, outputs=tmp_path
    )
    batches: list[tuple[int, Mode]] = [(4, "automatic"), (4, "prompted"), (1000, "automatic")]
    assert runner.estimate(batches) is None
    metrics = {
        "prompted": 0, "done": 10, "megapixels": 10.0, "model": {"name": "vit_tiny"},
        "seconds_per_stage": {}, "device": "cpu", "run": {"computed": 10, "shard_seconds": 20.0},
    }  # fmt: skip
    remember(metrics, THIS_MACHINE)
    estimated = runner.estimate(batches)
    assert estimated is not None and estimated.seconds == pytest.approx(2.0 * 1008)
    assert "measured on" in estimated.basis and estimated.usd == 0


def test_experiment_that_costs_money_starts_only_with_consent(
    image_folder: Path, tmp_path: Path
) -> None:
    """Ten runs on GPUs were started without a word about what they take together."""
    command = ("experiment", image_folder, "--engine", "vertex", "--output", tmp_path / "study")
    done = sam_vertex(*command)
    assert done.returncode == 2
    assert "estimate: 10 runs on Vertex AI, " in done.stderr
    assert "hint: --yes starts them" in done.stderr
    agreed = sam_vertex(*command, "--yes", "--outputs", tmp_path / "none.json")
    assert agreed.returncode == 2 and "none.json" in agreed.stderr, "it went on to the deployment"


def test_family_of_own_weights_reaches_the_runs(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fine-tuned weights of vit_b's shape are refused until somebody names it."""
    seen: list[RunParameters] = []

    def run(parameters: RunParameters) -> None:
        seen.append(parameters)
        raise OperatorError("not run", hint="")

    monkeypatch.setattr("scripts.runs.local.run_here", run)
    runner = BatchRunner(
        engine="local", checkpoint="vit_tiny", family="sam", shards=1, points_per_side=None,
        outputs=tmp_path,
    )  # fmt: skip
    with pytest.raises(OperatorError, match="not run"):
        runner.run(tmp_path, tmp_path / "run", 1, "automatic")
    assert [parameters.family for parameters in seen] == ["sam"]
    assert runner.settings()["family"] == "sam", "another family is another experiment"


def test_experiment_needs_a_family_that_segments_everything(
    image_folder: Path, tmp_path: Path
) -> None:
    refused = sam_vertex("experiment", image_folder, "--family", "medsam", "--output", tmp_path)
    assert refused.returncode == 2
    assert "--family: no prompts, and medsam was trained with boxes alone" in refused.stderr
    assert not list(tmp_path.glob("batch*")), "before anything is written"
