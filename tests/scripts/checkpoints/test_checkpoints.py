"""Fetching a checkpoint: from a real HTTP server, resumed, verified, and honest when offline."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from scripts.checkpoints.cache import resolve_checkpoint
from scripts.checkpoints.download import download
from scripts.checkpoints.upload import possible_families
from scripts.cli import app
from scripts.terminal.errors import OperatorError
from serving.sam import known_checkpoints
from serving.sam.checkpoints import load_checkpoint
from serving.sam.errors import CheckpointError
from serving.sam.families.table import FAMILIES, MEDSAM

CONTENT = os.urandom(3_000_000)


class Publisher(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; can break off, refuse, ignore ranges or answer with a page."""

    fault = ""
    ranges: list[str] = []  # noqa: RUF012
    encodings: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        Publisher.ranges.append(self.headers.get("Range", ""))
        Publisher.encodings.append(self.headers.get("Accept-Encoding", ""))
        busy = self.fault == "busy" or (self.fault == "busy-once" and len(Publisher.ranges) == 1)
        start = 0
        if self.headers.get("Range") and self.fault != "no-ranges":
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        body = b"<html>sign in</html>" if self.fault == "page" else CONTENT[start:]
        self.send_response(503 if busy else 206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            first = start + 1 if self.fault == "another-part" else start
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(body[: 1_500_000 if self.fault == "breaks" else None])

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``vit_b`` is CONTENT on a server of this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    entry = dataclasses.replace(
        known_checkpoints.CHECKPOINTS["vit_b"],
        size_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        url=f"http://127.0.0.1:{server.server_port}/sam_vit_b_01ec64.pth",
    )
    monkeypatch.setitem(known_checkpoints.CHECKPOINTS, "vit_b", entry)
    monkeypatch.setattr(Publisher, "fault", "")
    monkeypatch.setattr(Publisher, "ranges", [])
    monkeypatch.setattr(Publisher, "encodings", [])
    yield
    server.shutdown()
    server.server_close()


def fetch(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["checkpoint", "fetch", "vit_b", *arguments])
    return result.exit_code, result.output


@pytest.mark.usefixtures("published")
def test_fetch_puts_the_verified_file_in_the_cache() -> None:
    code, output = fetch()
    target = known_checkpoints.CHECKPOINTS["vit_b"].path_here
    assert code == 0, output
    assert str(target) in output
    assert target.read_bytes() == CONTENT
    assert resolve_checkpoint("vit_b") == str(target)
    Publisher.ranges.clear()
    assert fetch()[0] == 0
    assert Publisher.ranges == [], "what is here and right is not fetched again"


@pytest.mark.usefixtures("published")
def test_fetch_broken_off_is_resumed_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "vit_b.pth"
    monkeypatch.setattr(Publisher, "fault", "breaks")
    code, output = fetch("--to", str(target))
    assert code == 1
    assert "the connection broke after" in output
    assert "run the same command to resume" in output
    assert not target.exists()
    monkeypatch.setattr(Publisher, "fault", "")
    assert fetch("--to", str(target))[0] == 0
    assert target.read_bytes() == CONTENT
    have = Publisher.ranges[-1].removeprefix("bytes=").rstrip("-")
    assert 0 < int(have) <= 1_500_000
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["vit_b.pth"]


@pytest.mark.usefixtures("published")
def test_fetch_server_without_ranges_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vit_b.pth.partial").write_bytes(CONTENT[:1000])
    monkeypatch.setattr(Publisher, "fault", "no-ranges")
    assert fetch("--to", str(tmp_path / "vit_b.pth"))[0] == 0
    assert (tmp_path / "vit_b.pth").read_bytes() == CONTENT


@pytest.mark.usefixtures("published")
def test_fetch_server_that_sends_another_part_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``Content-Range`` tells which part came; one that was not asked for is not appended."""
    (tmp_path / "vit_b.pth.partial").write_bytes(CONTENT[:1000])
    monkeypatch.setattr(Publisher, "fault", "another-part")
    assert fetch("--to", str(tmp_path / "vit_b.pth"))[0] == 0
    assert (tmp_path / "vit_b.pth").read_bytes() == CONTENT
    assert Publisher.ranges == ["bytes=1000-", ""]
    assert set(Publisher.encodings) == {"identity"}


@pytest.mark.usefixtures("published")
def test_fetch_tries_a_busy_server_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Publisher, "fault", "busy-once")
    assert fetch("--to", str(tmp_path / "vit_b.pth"))[0] == 0
    assert (tmp_path / "vit_b.pth").read_bytes() == CONTENT
    assert len(Publisher.ranges) == 2


class SilentMeter:
    """Shows nothing."""

    def update(self, done: float, total: float | None, note: str = "") -> None:
        """Ignore it."""


@pytest.mark.usefixtures("published")
def test_fetches_of_one_checkpoint_at_once_load_it_once(tmp_path: Path) -> None:
    """The second waits for the first, and finds the file."""
    entry, target = known_checkpoints.CHECKPOINTS["vit_b"], tmp_path / "vit_b.pth"
    threads = [
        threading.Thread(target=download, args=(entry, target, SilentMeter())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert len(Publisher.ranges) == 1


@pytest.mark.parametrize(("fault", "reason"), [("page", "SHA-256"), ("busy", "answered 503")])
@pytest.mark.usefixtures("published")
def test_fetch_wrong_answer_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str
) -> None:
    monkeypatch.setattr(Publisher, "fault", fault)
    code, output = fetch("--to", str(tmp_path / "vit_b.pth"))
    assert code == 1
    assert reason in output
    assert "hint: " in output
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_fetch_offline_names_the_embedded_checkpoint() -> None:
    code, output = fetch()
    assert code == 1
    assert "error: https://" in output and "no connection" in output
    assert "--checkpoint vit_tiny" in output


def test_fetch_unknown_name_lists_the_known() -> None:
    result = CliRunner().invoke(app, ["checkpoint", "fetch", "vit_x"])
    assert result.exit_code == 2
    assert "known are vit_tiny, mobile_sam, vit_b, vit_l, vit_h" in result.output


def test_fetch_embedded_says_where_it_lies() -> None:
    result = CliRunner().invoke(app, ["checkpoint", "fetch", "vit_tiny"])
    assert result.exit_code == 0
    assert "sam_vit_tiny.pth" in result.output


def test_list_shows_which_are_here() -> None:
    result = CliRunner().invoke(app, ["checkpoint", "list", "--json"])
    rows = {row["name"]: row for row in json.loads(result.output)}
    assert set(rows) == {"vit_tiny", "mobile_sam", "vit_b", "vit_l", "vit_h"}
    assert {row["licence"] for row in rows.values()} == {"Apache-2.0"}
    assert Path(rows["vit_tiny"]["path"]).is_file()
    assert rows["vit_b"]["path"] is None
    assert "not here" in CliRunner().invoke(app, ["checkpoint", "list"]).output


def test_resolve_checkpoint_known_but_missing_says_how_to_fetch() -> None:
    with pytest.raises(OperatorError, match="vit_h is not on this machine") as caught:
        resolve_checkpoint("vit_h")
    assert "sam-vertex checkpoint fetch vit_h" in caught.value.hint
    assert resolve_checkpoint("vit_tiny") == "vit_tiny"
    assert resolve_checkpoint("/some/file.pth") == "/some/file.pth"


def test_upload_knows_which_families_weights_may_be_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a server that must be told starts in vain; what no server can load is not sent."""
    own, other = tmp_path / "own.pth", tmp_path / "other.pth"
    state = load_checkpoint("vit_tiny").sam.state_dict()
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, own)
    torch.save({"weight": torch.ones(2)}, other)
    assert possible_families(own) == ["sam"]
    monkeypatch.setitem(FAMILIES, "medsam", dataclasses.replace(MEDSAM, fits=lambda _: True))
    assert possible_families(own) == ["sam", "medsam"]
    assert possible_families(tmp_path / "sam_vit_b_01ec64.pth") == ["sam"]
    with pytest.raises(CheckpointError, match=r"other\.pth: the weights are not those of"):
        possible_families(other)
