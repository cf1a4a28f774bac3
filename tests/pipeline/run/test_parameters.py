"""How many images may fail in a run that still succeeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.run.parameters import RunParameters, parse_max_failed
from serving.sam.errors import ParameterError
from tests.pipeline.conftest import changed, run_steps


def test_max_failed_is_a_share_or_a_count(local_run: RunParameters, image_folder: Path) -> None:
    assert [parse_max_failed(text) for text in ("0.1", "10%", "25")] == [0.1, 0.1, 25]
    with pytest.raises(ParameterError, match="max-failed"):
        parse_max_failed("many")
    (image_folder / "x.png").write_bytes(b"")
    (image_folder / "y.png").write_bytes(b"")
    assert not run_steps(changed(local_run, max_failed=2)).too_many_failed
    assert run_steps(changed(local_run, max_failed=1)).too_many_failed
    assert not run_steps(changed(local_run, max_failed=0.4)).too_many_failed
    assert run_steps(changed(local_run, max_failed=0.39)).too_many_failed
