"""A run over the quota is refused before anything is submitted; an unread quota refuses nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts.checkout import PLATFORM
from scripts.cloud.deployment import Deployment
from scripts.cloud.project_services import REHEARSED
from scripts.runs.quota import check_quota
from scripts.terminal.errors import OperatorError
from tests.stand_ins.outputs import platform_outputs

T4 = "NVIDIA_TESLA_T4"


class Quotas:
    """A server that answers as the Cloud Quotas API does."""

    def __init__(self) -> None:
        self.status, self.value, self.asked = 200, "1", list[str]()


@pytest.fixture
def quotas(monkeypatch: pytest.MonkeyPatch) -> Iterator[Quotas]:
    quotas = Quotas()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            quotas.asked.append(self.path)
            entry = {"dimensions": {"region": "us-west1"}, "details": {"value": quotas.value}}
            content: dict[str, Any] = {"dimensionsInfos": [entry]}
            if quotas.status != 200:
                content = {"error": {"message": "not allowed", "status": "PERMISSION_DENIED"}}
            body = json.dumps(content).encode()
            self.send_response(quotas.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(REHEARSED, f"http://127.0.0.1:{server.server_address[1]}")
    yield quotas
    server.shutdown()
    server.server_close()


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps({PLATFORM: platform_outputs("p1")}))
    return Deployment.from_outputs(path)


def test_quota_that_is_large_enough_lets_a_run_begin(
    quotas: Quotas, deployment: Deployment
) -> None:
    check_quota(deployment, T4, 1)
    quotas.value = "-1"  # no limit
    check_quota(deployment, T4, 40)
    assert all("CustomModelTrainingT4GPUsPerProjectPerRegion" in path for path in quotas.asked)
    quotas.asked.clear()
    check_quota(deployment, "", 40)
    assert quotas.asked == [], "a CPU has no such quota"


@pytest.mark.parametrize(("value", "way_out"), [("1", "--parallel 1, or "), ("0", "ask for it: ")])
def test_run_over_the_quota_is_refused_with_the_way_out(
    quotas: Quotas, deployment: Deployment, value: str, way_out: str
) -> None:
    quotas.value = value
    with pytest.raises(OperatorError, match="4 shards at once need 4 of CustomModelTraining") as e:
        check_quota(deployment, T4, 4)
    assert e.value.hint.startswith(way_out)
    assert "--preferred-value=4 --dimensions=region=us-west1" in e.value.hint


def test_quota_that_may_not_be_read_refuses_nothing(
    quotas: Quotas, deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    quotas.status = 403
    check_quota(deployment, T4, 4)
    assert "was not read: " in capsys.readouterr().err
