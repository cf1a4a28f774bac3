"""Synthesize the stacks in this process and drive the real Terraform on them, each in its world.

The kernel behind the bindings starts once for all tests, which a process a synth would not. The
provider answers from this process too: Terraform attaches to it instead of starting one for every
command. That Terraform finds and starts it by itself is what tests/scripts/rehearsal and the
journeys show.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tftest

from infra.checks import checked
from infra.settings import Settings
from infra.stacks import PLATFORM, SERVING, build
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.local_cloud import Cloud
from tests.stand_ins.attached_provider import AttachedProvider

STACKS = (PLATFORM, SERVING)
KEY = "projects/keys/locations/us-west1/keyRings/company/cryptoKeys/sam"
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "cmek": {"cmek": True},
    "existing_key": {"cmek": True, "kms_key": KEY},
    "monitoring": {
        "monitoring": True,
        "alert_email": "ops@example.com",
        "budget": 300,
        "billing_account": "012345-6789AB-CDEF01",
    },
    "debian_12": {"workbench_image": "debian-12", "workbench_owner": "ada@example.com"},
    "shared_endpoint": {"endpoint_type": "shared", "request_logging": "bq://my-project.sam.log"},
    "no_workbench": {"workbench": False, "zone": "us-west1-c", "bigquery": True},
    "own_network": {
        "network": "projects/host/global/networks/company",
        "subnet": "projects/host/regions/us-west1/subnetworks/workbench",
        "nat": "existing",
        "log_bucket": "company-logs",
        "workbench_users": "ada@example.com, grace@example.com",
    },
}
# What lies outside the stacks and is referred to by the variants.
EXISTING = [
    KEY,
    "company-logs",
    "projects/host/global/networks/company",
    "projects/host/regions/us-west1/subnetworks/workbench",
]


def synthesize(folder: Path, **settings: Any) -> Path:
    """Write both stacks under ``folder/cdktf.out``; return their folder."""
    from cdktf import App

    os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
    app = App(outdir=str(folder / "cdktf.out"))
    build(app, checked(Settings(**{"project_id": "my-project", **settings})))
    app.synth()
    return folder / "cdktf.out" / "stacks"


def document(stacks: Path, stack: str) -> dict[str, Any]:
    """The synthesized document of one stack."""
    return dict(json.loads((stacks / stack / "cdk.tf.json").read_text("utf-8")))


class Deployment:
    """Both stacks with one setting of the settings, their state, and a world that is theirs alone.

    The project id differs from one deployment to the next, so that all share one storage stand-in.
    """

    def __init__(self, folder: Path, cloud: Cloud, **settings: Any) -> None:
        self.folder = folder
        self.project = settings.pop("project_id", f"p{uuid.uuid4().hex[:12]}")
        self.settings = settings
        self.world = World(folder / "world.json")
        self.storage_url = cloud.storage_url
        self._provider = AttachedProvider(self.world, cloud.storage_url)
        self.environment = {
            "HOME": str(folder),
            **cloud.environment(),
            **self._provider.environment(),
            # Its services of a project know the world of the whole cloud, not this one.
            "SAM_REHEARSAL_APIS": "",
            # Terraform calls this when it destroys an endpoint; the journeys call the real one.
            "PATH": f"{_idle_command(folder / 'idle')}:{os.environ['PATH']}",
        }
        self._initialized: dict[str, tftest.TerraformTest] = {}
        with self.world.open() as contents:
            contents["existing"] = list(EXISTING)
        self.synthesize()

    def use_the_real_command(self) -> None:
        """Let Terraform call this project's own ``sam-vertex``, as an operator's would."""
        path = os.pathsep.join(self.environment["PATH"].split(os.pathsep)[1:])
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"

    def synthesize(self, **changed: Any) -> None:
        """Synthesize again, with some settings changed for good."""
        self.settings.update(changed)
        self.stacks = synthesize(self.folder, project_id=self.project, **self.settings)

    def terraform(self, stack: str = PLATFORM) -> tftest.TerraformTest:
        """Terraform in one stack, initialized once: another synthesis changes no backend."""
        if stack not in self._initialized:
            test = tftest.TerraformTest(str(self.stacks / stack), env=self.environment)
            test.setup(cleanup_on_exit=False)
            self._initialized[stack] = test
        return self._initialized[stack]

    def apply(self, *stacks: str) -> dict[str, Any]:
        """Apply the stacks; the outputs of each."""
        outputs = {}
        for stack in stacks or STACKS:
            test = self.terraform(stack)
            test.apply()
            outputs[stack] = dict(test.output())
        return outputs

    def destroy(self, *stacks: str) -> None:
        """Destroy the stacks, the last first."""
        for stack in stacks or tuple(reversed(STACKS)):
            self.terraform(stack).destroy()

    def changes(self, stack: str = PLATFORM) -> dict[str, list[str]]:
        """What a plan would do: address without its hash, to actions; what stays is left out."""
        return {
            plain(change["address"]): change["change"]["actions"]
            for change in self.planned(stack)
            if change["change"]["actions"] not in (["no-op"], ["read"])
        }

    def planned(self, stack: str = PLATFORM) -> list[dict[str, Any]]:
        """All resource changes of a plan."""
        return list(self.terraform(stack).plan(output=True).resource_changes.values())

    def resources(self) -> dict[str, dict[str, Any]]:
        """Everything that exists in the world, by type, types without any left out."""
        kinds = self.world.read()["resources"]
        return {kind: resources for kind, resources in kinds.items() if resources}

    def close(self) -> None:
        """Let the provider go."""
        self._provider.close()


def _idle_command(folder: Path) -> Path:
    """A folder with a ``sam-vertex`` that does nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "sam-vertex"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return folder


def plain(address: str) -> str:
    """An address without the hash that the synthesizer puts at its end."""
    return address.rpartition("_")[0]


Deploy = Callable[..., Deployment]


def error_of(failed: pytest.ExceptionInfo[tftest.TerraformTestError]) -> str:
    """What Terraform said, in one line."""
    return " ".join(str(failed.value.cmd_error).replace("│", " ").split())
