"""The audit accepts what is listed with a reason, and nothing else; stale lines fail too."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scripts.development import policy_audit as audit
from scripts.terminal.errors import OperatorError

FOUND = [{"check_id": "CKV_1", "check_name": "Ensure x", "resource": "bucket"}]


def test_listed_finding_is_accepted() -> None:
    assert audit.compare(FOUND, {"CKV_1": "because"}, "defaults") == []


def test_new_finding_and_stale_line_are_named() -> None:
    assert audit.compare(FOUND, {"CKV_2": "because"}, "defaults") == [
        "defaults: CKV_1 Ensure x: bucket is not accepted",
        "defaults: CKV_2 is accepted, but not found",
    ]


def test_scanner_that_judges_nothing_is_an_error(tmp_path: Path) -> None:
    """An empty report must not pass for a clean one."""
    program = tmp_path / "checkov"
    program.write_text(
        '#!/bin/sh\necho \'{"summary": {"passed": 0}, "results": {"failed_checks": []}}\'\n'
    )
    program.chmod(0o755)
    with pytest.raises(OperatorError, match="nothing to judge"):
        audit.scan(program, tmp_path)
    program.write_text("#!/bin/sh\necho broken >&2\n")
    with pytest.raises(OperatorError, match="gave no report: broken"):
        audit.scan(program, tmp_path)


def test_every_exception_has_a_reason() -> None:
    listed = yaml.safe_load(audit.ACCEPTED.read_text("utf-8"))
    assert set(listed) == set(audit.VARIANTS)
    for variant in listed.values():
        assert all(len(reason) > 20 for reason in variant.values())
