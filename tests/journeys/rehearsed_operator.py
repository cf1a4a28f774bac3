"""Someone at a shell that is pointed at a rehearsal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.checkout import STACKS
from scripts.rehearsal import journey_tools
from scripts.rehearsal.local_cloud import Cloud

PROGRAM = str(Path(sys.executable).with_name("sam-vertex"))
FLAGS = ("--auto-approve",)


class Operator:
    """Someone at a shell that is pointed at the rehearsal.

    Args:
        cloud: the stand-ins.
        settings: of the stacks, as variables.
        account: e-mail of the service account that the shell acts as; empty for the operator.
    """

    def __init__(self, cloud: Cloud, settings: Mapping[str, str], account: str = "") -> None:
        self.cloud, self.home = cloud, cloud.home
        self._settings, self._account = settings, account

    def deploy(self, **settings: str) -> None:
        """Deploy both stacks with some settings changed."""
        outputs = str(self.home / "outputs.json")
        arguments = ("deploy", *STACKS, *FLAGS, "--outputs-file", outputs)
        journey_tools.cdktf(self.cloud, *arguments, settings={**self._settings, **settings})

    def plan(self) -> str:
        """What Terraform would change in what serves."""
        return self.terraform("plan")

    def terraform(self, *arguments: str) -> str:
        """Terraform itself, on what cdktf has synthesized for what serves."""
        done = subprocess.run(
            ["terraform", *arguments, "-no-color"],
            cwd=self.home / "cdktf.out" / "stacks" / "sam-serving",
            env={
                **os.environ, **self.cloud.environment(),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """What a command prints with ``--json``."""
        return json.loads(self._finished(*arguments, "--json").stdout)

    def run(self, *arguments: str, expect: int = 0) -> str:
        """What a command says, on either stream."""
        done = self._finished(*arguments, expect=expect)
        return done.stdout + done.stderr

    def _finished(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.cloud.environment(self._account)}
        done = subprocess.run(
            [PROGRAM, *arguments], cwd=self.home, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    @contextlib.contextmanager
    def annotating(self, image: Path, output: Path) -> Iterator[str]:
        """The address of a page that asks the endpoint for its masks."""
        options = ("--endpoint", "--output", str(output), "--port", "0", "--no-open")
        with subprocess.Popen(
            [PROGRAM, "annotate", str(image), *options], cwd=self.home,
            env={**os.environ, **self.cloud.environment(self._account)},
            stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            try:
                line = process.stderr.readline()
                found = re.search(r"http://[^/]+", line)
                assert found is not None, line + process.stderr.read()
                yield found[0]
            finally:
                process.send_signal(signal.SIGINT)
                last = process.stderr.read()
        assert process.returncode == 0, last

    def versions(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.json("model", "list")
        return rows

    def live(self) -> str:
        (version,) = [row["version"] for row in self.versions() if row["traffic_percent"] == 100]
        return str(version)
