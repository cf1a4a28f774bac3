"""Progress is plain where nobody watches; pace and time left come from what was seen."""

from __future__ import annotations

import sys
import time

import pytest

from scripts.terminal.progress import Pace, meter, quiet, repeating, report_event, report_line


def test_meter_in_a_pipe_prints_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with meter("segmenting") as bar:
        bar.update(0, None)
        for done in range(1001):
            bar.update(done, 1000, "2.00 images/s")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "segmenting: 0/1000 2.00 images/s"
    assert lines[-1] == "segmenting: 1000/1000 2.00 images/s"
    assert len(lines) <= 12


def test_quiet_commands_print_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet(True), meter("segmenting") as bar:
        bar.update(10, 10)
        report_line("submitted")
    assert capsys.readouterr().err == ""
    report_line("again")
    assert capsys.readouterr().err == "again\n"


def test_quiet_commands_say_what_costs_money(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet(True):
        report_event("submitted sam-1")
    assert capsys.readouterr().err == "submitted sam-1\n"


def test_bar_of_work_that_notes_its_time_left_shows_it_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with meter("segmenting", notes_time=True) as bar:
        bar.update(5, 10, "6 s left")
    shown = capsys.readouterr().err
    assert "6 s left" in shown and "0:00:00" in shown and "-:--:--" not in shown


def test_pace_needs_two_looks_and_counts_from_the_first_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was done before anybody looked took nobody knows how long."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = Pace()
    pace.observe(0, 100)
    now = 150.0
    pace.observe(40, 100)
    assert pace.per_second is None and pace.seconds_left is None
    now = 160.0
    pace.observe(60, 100)
    assert pace.per_second == pytest.approx(2.0)
    assert pace.seconds_left == pytest.approx(20.0)


def test_repeating_shows_the_end_of_work_that_fails() -> None:
    shown: list[int] = []
    with pytest.raises(ValueError, match="broken"), repeating(lambda: shown.append(1), 60.0):
        raise ValueError("broken")
    assert shown == [1]
