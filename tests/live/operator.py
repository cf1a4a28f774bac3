"""What somebody with a project types: cdktf, sam-vertex, gcloud and curl, as real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.checkout import ROOT, STACKS
from scripts.cloud.deployment import Deployment
from tests.conftest import draw_scene

REQUIRED = ("SAM_LIVE_PROJECT",)
PREFIX = "sam-live"  # names of everything it makes, beside what else the project holds
LONGEST_SECONDS = 3600  # of one command: a deployment to an endpoint takes tens of minutes


class Operator:
    """A shell with credentials, and a folder that outlives the tests.

    The state of Terraform stays in that folder: whoever kills the tests can still destroy what
    they made.

    Args:
        environment: of the shell that started the tests.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.project = environment["SAM_LIVE_PROJECT"]
        default = Path.home() / ".cache" / "sam-live" / self.project
        self.home = Path(environment.get("SAM_LIVE_FOLDER") or default).resolve()
        self.outputs = self.home / "outputs.json"
        self.photos = self.home / "photos"
        self.destroyed = False
        self._environment = {
            # Our own variables are no settings of the stacks, which refuse what they do not know.
            **{k: v for k, v in environment.items() if not k.startswith("SAM_LIVE_")},
            "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
            "SAM_PROJECT_ID": self.project,
            "SAM_PREFIX": PREFIX,
            "SAM_STATE_FOLDER": str(self.home / "state"),
        }
        (self.home / "state").mkdir(parents=True, exist_ok=True)
        self._draw_photos()

    def _draw_photos(self) -> None:
        self.photos.mkdir(exist_ok=True)
        for number in range(2):
            Image.fromarray(draw_scene(320 + 64 * number, 240)).save(self.photos / f"{number}.png")
        (self.photos / "broken.jpg").write_bytes(b"no image")

    @property
    def deployment(self) -> Deployment:
        """What is deployed, from the outputs file."""
        return Deployment.from_outputs(self.outputs)

    def deploy(self, **settings: str) -> None:
        """``cdktf deploy`` of both stacks, with settings beside the shell's own."""
        self._cdktf(
            *("deploy", *STACKS, "--auto-approve", "--outputs-file", str(self.outputs)),
            settings={"SAM_FORCE_DESTROY": "true", **settings},
        )

    def destroy(self) -> None:
        """``cdktf destroy`` as in another shell, which knows project, prefix and state only."""
        self._cdktf("destroy", *STACKS, "--auto-approve", settings={})
        self.destroyed = True

    def _cdktf(self, *words: str, settings: Mapping[str, str]) -> None:
        program = str(ROOT / "node_modules" / ".bin" / "cdktf")
        output = ("--output", str(self.home / "cdktf.out"))
        self._finished([program, *words, *output], ROOT, {**self._environment, **settings})

    def sam_vertex(self, *words: str) -> str:
        """What our command prints."""
        program = str(Path(sys.executable).with_name("sam-vertex"))
        return self._finished([program, *words], self.home, self._environment)

    def json(self, *words: str) -> Any:
        """What our command prints with ``--json``."""
        return json.loads(self.sam_vertex(*words, "--json"))

    def gcloud(self, *words: str) -> Any:
        """What gcloud says of the project, as JSON."""
        command = ["gcloud", *words, "--project", self.project, "--format", "json"]
        return json.loads(self._finished(command, self.home, self._environment) or "[]")

    def curl(self, *words: str) -> Any:
        """What curl gets with the operator's own token, as JSON."""
        token = self._finished(
            ["gcloud", "auth", "print-access-token"], self.home, self._environment
        ).strip()
        # The token goes by standard input, so that no list of processes shows it.
        return json.loads(
            self._finished(
                ["curl", "--silent", "--show-error", "--header", "@-", *words],
                self.home, self._environment, stdin=f"Authorization: Bearer {token}\n",
            )
        )  # fmt: skip

    def _finished(
        self, command: list[str], folder: Path, environment: Mapping[str, str], stdin: str = ""
    ) -> str:
        done = subprocess.run(
            command, cwd=folder, env=dict(environment), input=stdin, capture_output=True,
            text=True, check=False, timeout=LONGEST_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(command[:3])}: {done.stdout}{done.stderr}"
        return done.stdout
