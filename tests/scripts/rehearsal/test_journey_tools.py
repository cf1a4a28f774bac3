"""What a journey does beside the commands: it fetches a folder, and counts what remains."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.journey_tools import fetch_folder
from scripts.rehearsal.local_cloud import Cloud
from scripts.rehearsal.remains import remains
from scripts.terminal.errors import OperatorError
from tests.stand_ins.vertex import Vertex


def test_folder_is_fetched_with_its_subfolders(cloud: Cloud, tmp_path: Path) -> None:
    objects = Objects(cloud.storage_url)
    objects.create_bucket("fetched", "p")
    objects.put("fetched", "run/report.html", b"report")
    objects.put("fetched", "run/masks/a.json", b"{}")
    objects.put("fetched", "other/b.json", b"{}")
    assert fetch_folder(cloud, "gs://fetched/run", tmp_path / "run") == 2
    assert (tmp_path / "run" / "report.html").read_bytes() == b"report"
    assert (tmp_path / "run" / "masks" / "a.json").exists()


def test_failed_command_says_why(cloud: Cloud, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="gs://bucket/folder"):
        fetch_folder(cloud, "gs://", tmp_path)


def test_remains_name_what_exists(vertex: Vertex) -> None:
    vertex.uploaded(modelId="sam")
    left = remains(vertex.cloud)
    resources = sum(len(of_kind) for of_kind in vertex.world.read()["resources"].values())
    assert {f"{resources} resources", "1 models", "bucket p1-bucket"} <= set(left)
