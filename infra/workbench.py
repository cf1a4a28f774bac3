"""The Workbench: a notebook machine with an accelerator, set up by a script at every start."""

from __future__ import annotations

import shlex
from pathlib import Path

from cdktf import ITerraformDependable, TerraformResourceLifecycle
from cdktf_cdktf_provider_google.storage_bucket_object import StorageBucketObject
from cdktf_cdktf_provider_google.workbench_instance import (
    WorkbenchInstance,
    WorkbenchInstanceGceSetup,
    WorkbenchInstanceGceSetupAcceleratorConfigs,
    WorkbenchInstanceGceSetupBootDisk,
    WorkbenchInstanceGceSetupDataDisks,
    WorkbenchInstanceGceSetupNetworkInterfaces,
    WorkbenchInstanceGceSetupServiceAccounts,
    WorkbenchInstanceGceSetupShieldedInstanceConfig,
    WorkbenchInstanceGceSetupVmImage,
)
from constructs import Construct

from infra.availability import WORKBENCH_IMAGE_PROJECT, WORKBENCH_IMAGES
from infra.network import Network
from infra.settings import Settings
from infra.storage import STARTUP, STATUS, Storage

DATA_DISK_GB = 100
SCRIPT = Path(__file__).with_name("startup") / "post-startup.sh"


def startup_script(settings: Settings, bucket_name: str, instance_name: str) -> str:
    """The script of every start, with its settings as assignments at the top."""
    assignments = {
        "REPOSITORY_URL": settings.repository_url,
        "REPOSITORY_REF": settings.repository_ref,
        "STATUS_URI": f"gs://{bucket_name}/{STATUS}/{instance_name}.json",
    }
    lines = SCRIPT.read_text("utf-8").splitlines(keepends=True)
    values = "".join(f"{name}={shlex.quote(value)}\n" for name, value in assignments.items())
    return lines[0] + values + "".join(lines[1:])


def _literal(text: str) -> str:
    """Text in which Terraform finds nothing to replace; the shell's own ``${}`` look like it."""
    return text.replace("${", "$${").replace("%{", "%%{")


class Workbench(Construct):
    """A Workbench instance with one accelerator, in a private network, that stops when idle.

    Attributes:
        instance: the instance.
        status_uri: object in which the start-up script reports.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        storage: Storage,
        network: Network,
        service_account: str,
        kms_key: str | None,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        name = f"{settings.prefix}-workbench"
        script = StorageBucketObject(
            self,
            "script",
            bucket=storage.bucket.id,
            name=f"{STARTUP}/post-startup.sh",
            content=_literal(startup_script(settings, settings.bucket_name, name)),
            content_type="text/x-shellscript",
            depends_on=[storage.folders[STARTUP]],
        )
        self.status_uri = f"gs://{settings.bucket_name}/{STATUS}/{name}.json"
        disk = {"disk_encryption": "CMEK", "kms_key": kms_key} if kms_key else {}
        self.instance = WorkbenchInstance(
            self,
            "instance",
            name=name,
            location=settings.zone,
            project=settings.project_id,
            labels={"app": settings.prefix},
            desired_state="ACTIVE",
            instance_owners=[settings.workbench_owner] if settings.workbench_owner else None,
            gce_setup=WorkbenchInstanceGceSetup(
                machine_type=settings.workbench_machine,
                accelerator_configs=[
                    WorkbenchInstanceGceSetupAcceleratorConfigs(
                        type=settings.workbench_accelerator, core_count="1"
                    )
                ],
                vm_image=WorkbenchInstanceGceSetupVmImage(
                    project=WORKBENCH_IMAGE_PROJECT,
                    family=WORKBENCH_IMAGES[settings.workbench_image],
                ),
                boot_disk=WorkbenchInstanceGceSetupBootDisk(
                    disk_size_gb=str(settings.workbench_disk_gb), disk_type="PD_BALANCED", **disk
                ),
                data_disks=WorkbenchInstanceGceSetupDataDisks(
                    disk_size_gb=str(DATA_DISK_GB), disk_type="PD_BALANCED", **disk
                ),
                network_interfaces=[
                    WorkbenchInstanceGceSetupNetworkInterfaces(
                        network=network.network, subnet=network.subnet, nic_type="GVNIC"
                    )
                ],
                disable_public_ip=not settings.workbench_public_ip,
                service_accounts=[WorkbenchInstanceGceSetupServiceAccounts(email=service_account)],
                # Secure boot would refuse the NVIDIA kernel module that the script installs.
                shielded_instance_config=WorkbenchInstanceGceSetupShieldedInstanceConfig(
                    enable_secure_boot=False,
                    enable_vtpm=True,
                    enable_integrity_monitoring=True,
                ),
                metadata={
                    "idle-timeout-seconds": str(settings.workbench_idle_minutes * 60),
                    "post-startup-script": f"gs://{settings.bucket_name}/{STARTUP}/post-startup.sh",
                    # "run_once" would neither fetch a fixed script nor heal a grant that came late
                    # (Google's page "Manage features through metadata").
                    "post-startup-script-behavior": "download_and_run_every_start",
                    "serial-port-logging-enable": "false",
                },
            ),
            # The server adds keys of its own, which provider 6.50.0 would take out again at every
            # apply (DECISIONS.md, "Workbench metadata").
            lifecycle=TerraformResourceLifecycle(ignore_changes=["gce_setup[0].metadata"]),
            depends_on=[script, *network.ready, *after],
        )
