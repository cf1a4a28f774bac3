"""Terraform remembers the place of one platform's state in a checkout, and of no other's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.backend_cache import forget_other_platforms
from infra.settings import Settings
from infra.stacks import PLATFORM

HERE = Settings(project_id="my-project")
REHEARSED = Settings(project_id="my-project", state_folder="/tmp/r/rehearsal-state")
IN_BUCKET = Settings(project_id="my-project", state_bucket="company-state")
FILE = f"terraform.my-project.sam.{PLATFORM}.tfstate"


@pytest.mark.parametrize(
    ("remembered", "settings", "stays"),
    [
        pytest.param({"path": f"../../../{FILE}"}, HERE, True, id="the same"),
        pytest.param({"path": f"/elsewhere/{FILE}"}, HERE, True, id="another folder of its own"),
        pytest.param({"path": f"../../../{FILE}"}, IN_BUCKET, True, id="into a bucket"),
        pytest.param(
            {"bucket": "b", "prefix": f"my-project/sam/{PLATFORM}"}, HERE, True, id="out of one"
        ),
        pytest.param(
            {"path": f"../../../{FILE}".replace("sam.", "two.", 1)}, HERE, False, id="a prefix"
        ),
        pytest.param(
            {"bucket": "b", "prefix": f"another/sam/{PLATFORM}"}, IN_BUCKET, False, id="a project"
        ),
        pytest.param(
            {"bucket": "b", "prefix": f"my-project/sam/{PLATFORM}"}, REHEARSED, False,
            id="into a rehearsal",
        ),
        pytest.param(
            {"path": f"/tmp/r/rehearsal-state/{FILE}"}, HERE, False, id="out of a rehearsal"
        ),
        pytest.param(
            {"path": f"/tmp/q/rehearsal-state/{FILE}"}, REHEARSED, False, id="another rehearsal"
        ),
        pytest.param({"path": f"/tmp/r/rehearsal-state/{FILE}"}, REHEARSED, True, id="this one"),
        pytest.param(None, HERE, True, id="no backend yet"),
    ],
)  # fmt: skip
def test_place_of_another_platform_is_forgotten(
    tmp_path: Path, remembered: dict[str, str] | None, settings: Settings, stays: bool
) -> None:
    cache = tmp_path / "stacks" / PLATFORM / ".terraform" / "terraform.tfstate"
    cache.parent.mkdir(parents=True)
    backend = {"type": "local", "config": remembered} if remembered else None
    cache.write_text(json.dumps({"version": 3, "backend": backend}))
    forget_other_platforms(tmp_path, settings)
    assert cache.exists() is stays


def test_what_is_not_there_or_torn_is_left_to_terraform(tmp_path: Path) -> None:
    forget_other_platforms(tmp_path, HERE)
    cache = tmp_path / "stacks" / PLATFORM / ".terraform" / "terraform.tfstate"
    cache.parent.mkdir(parents=True)
    cache.write_text('{"backend": ')
    forget_other_platforms(tmp_path, HERE)
    assert cache.exists()
