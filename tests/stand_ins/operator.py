"""Somebody who types ``sam-vertex`` in a shell that is pointed at a rehearsal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.rehearsal.local_cloud import Cloud

PROGRAM = str(Path(sys.executable).with_name("sam-vertex"))


class Operator:
    """Commands as processes of their own, in the folder of a running local cloud.

    Args:
        cloud: the stand-ins.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.home = cloud, cloud.home

    @property
    def environment(self) -> dict[str, str]:
        """The shell's variables; caches and measurements stay in the cloud's folder."""
        own = {"XDG_CACHE_HOME": str(self.home / "cache")}
        return {**os.environ, **self.cloud.environment(), **own}

    def finished(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """A command that has ended with an exit code."""
        process = subprocess.run(
            [PROGRAM, *arguments], cwd=self.home, env=self.environment, capture_output=True,
            text=True, check=False, timeout=300,
        )  # fmt: skip
        assert process.returncode == expect, process.stdout + process.stderr
        return process

    def json(self, *arguments: str) -> Any:
        """What a command prints with ``--json``."""
        return json.loads(self.finished(*arguments, "--json").stdout)

    def text(self, *arguments: str, expect: int = 0) -> str:
        """What a command prints on both streams."""
        process = self.finished(*arguments, expect=expect)
        return process.stdout + process.stderr
