"""A run over an earlier one's output: results never shrink in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.run import parameters
from pipeline.run.manifest import ManifestRow, write_json
from pipeline.run.output_layout import MANIFEST, METRICS
from pipeline.run.parameters import RunParameters
from scripts.runs.preflight import check_run
from scripts.terminal.errors import OperatorError
from serving.storage import open_folder
from tests.pipeline.conftest import changed

NAMES = ("a.png", "b.jpg", "more/c.webp")


@pytest.fixture
def finished_run(image_folder: Path, tmp_path: Path) -> RunParameters:
    """A run of three images, as its manifest and its figures tell of it."""
    run = RunParameters(inputs=(str(image_folder),), output=str(tmp_path / "out"))
    output = open_folder(run.output)
    rows = [ManifestRow(image=name, status="done", masks=2) for name in NAMES]
    rows.append(ManifestRow(image="broken.png", status="failed", reason="no image"))
    output.write_bytes(MANIFEST, "".join(row.to_line() for row in rows).encode(), "text/plain")
    write_json(output, METRICS, {"settings": run.settings()})
    return run


def test_the_same_run_again_says_nothing(
    finished_run: RunParameters, capsys: pytest.CaptureFixture[str]
) -> None:
    check_run(finished_run)
    assert capsys.readouterr().err == ""


def test_one_image_over_the_results_of_a_folder_is_refused(
    finished_run: RunParameters, image_folder: Path
) -> None:
    with pytest.raises(OperatorError, match=r"drop 2 images of the earlier run \(b.jpg, ...\)"):
        check_run(changed(finished_run, inputs=[str(image_folder / "a.png")]))


def test_more_inputs_over_the_same_output_are_no_loss(
    finished_run: RunParameters, image_folder: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "d.png").write_bytes((image_folder / "a.png").read_bytes())
    check_run(changed(finished_run, inputs=[*finished_run.inputs, str(more)]))


def test_an_image_that_was_removed_from_the_folder_is_named(
    finished_run: RunParameters, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (image_folder / "a.png").unlink()
    check_run(finished_run)
    assert "1 image of the earlier run (a.png) no longer among" in capsys.readouterr().err


def test_other_settings_are_named_with_both_values(
    finished_run: RunParameters, capsys: pytest.CaptureFixture[str]
) -> None:
    check_run(changed(finished_run, points_per_side=8, pred_iou_thresh=0.5))
    line = capsys.readouterr().err
    assert "--points-per-side 8, was not given; --pred-iou-thresh 0.5, was not given" in line
    assert "up to 3 images will be computed anew" in line


def test_options_of_pictures_draw_anew_and_compute_nothing(
    finished_run: RunParameters, capsys: pytest.CaptureFixture[str]
) -> None:
    check_run(changed(finished_run, max_masks=3))
    line = capsys.readouterr().err
    assert "--max-masks 3, was 10" in line and "up to 3 images will be drawn anew" in line


def test_a_folder_that_grows_large_is_told_of_its_other_pictures(
    finished_run: RunParameters,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(parameters, "MOST_WITH_ALL_PICTURES", 2)
    check_run(finished_run)
    line = capsys.readouterr().err
    assert "--pictures overlays, was all" in line and "will be drawn anew" in line


def test_only_failed_under_other_settings_is_refused_with_both_values(
    finished_run: RunParameters,
) -> None:
    with pytest.raises(OperatorError, match=r"--precision fp32, was auto.*3 finished images") as e:
        check_run(changed(finished_run, precision="fp32", only_failed=True))
    assert "--only-failed" in e.value.hint


def test_an_output_of_an_earlier_version_is_no_error(finished_run: RunParameters) -> None:
    write_json(open_folder(finished_run.output), METRICS, {"images": 3})
    check_run(changed(finished_run, points_per_side=8))
