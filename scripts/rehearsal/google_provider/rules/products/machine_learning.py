"""Rules of the Workbench and the endpoint.

Source: terraform-provider-google at 6.50.0, ``google/services/<product>/resource_*.go``.
"""

from __future__ import annotations

from scripts.rehearsal.google_provider.rules.resource_rules import Rules, same_link

_ACCELERATORS = (
    "NVIDIA_TESLA_P100",
    "NVIDIA_TESLA_V100",
    "NVIDIA_TESLA_P4",
    "NVIDIA_TESLA_T4",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_L4",
    "NVIDIA_TESLA_T4_VWS",
    "NVIDIA_TESLA_P100_VWS",
    "NVIDIA_TESLA_P4_VWS",
)
_DISKS = ("PD_STANDARD", "PD_SSD", "PD_BALANCED", "PD_EXTREME")
_ENCRYPTION = ("GMEK", "CMEK")
RULES: dict[str, Rules] = {
    "google_workbench_instance": Rules(
        force_new=(
            "name",
            "location",
            "project",
            "instance_id",
            "instance_owners",
            "disable_proxy_access",
            "gce_setup.vm_image.project",
            "gce_setup.vm_image.family",
            "gce_setup.vm_image.name",
            "gce_setup.boot_disk.disk_type",
            "gce_setup.boot_disk.disk_encryption",
            "gce_setup.boot_disk.kms_key",
            "gce_setup.data_disks.disk_type",
            "gce_setup.data_disks.disk_encryption",
            "gce_setup.data_disks.kms_key",
            "gce_setup.network_interfaces.network",
            "gce_setup.network_interfaces.subnet",
            "gce_setup.network_interfaces.nic_type",
            "gce_setup.disable_public_ip",
            "gce_setup.tags",
            "gce_setup.service_accounts.email",
            "gce_setup.metadata.serial-port-logging-enable",
        ),
        defaults={"desired_state": "ACTIVE"},
        enums={
            "gce_setup.accelerator_configs.type": _ACCELERATORS,
            "gce_setup.boot_disk.disk_type": _DISKS,
            "gce_setup.boot_disk.disk_encryption": _ENCRYPTION,
            "gce_setup.data_disks.disk_type": _DISKS,
            "gce_setup.data_disks.disk_encryption": _ENCRYPTION,
            "gce_setup.network_interfaces.nic_type": ("VIRTIO_NET", "GVNIC"),
        },
        longest={
            "instance_owners": 1,
            "gce_setup.accelerator_configs": 1,
            "gce_setup.service_accounts": 1,
        },
        conflicts=(("gce_setup.vm_image", "gce_setup.container_image"),),
        exactly_one=(("gce_setup.vm_image", ("family", "name")),),
        computed_blocks=(
            "gce_setup",
            "gce_setup.boot_disk",
            "gce_setup.data_disks",
            "gce_setup.network_interfaces",
            "gce_setup.service_accounts",
            "gce_setup.shielded_instance_config",
            "gce_setup.vm_image",
        ),
        same={
            "gce_setup.network_interfaces.network": same_link,
            "gce_setup.network_interfaces.subnet": same_link,
        },
    ),
    "google_vertex_ai_endpoint": Rules(
        force_new=(
            "name",
            "location",
            "region",
            "network",
            "project",
            "encryption_spec.kms_key_name",
            "private_service_connect_config.enable_private_service_connect",
        ),
        ranges={"predict_request_response_logging_config.sampling_rate": (0.000001, 1)},
        longest={"display_name": 128},
        conflicts=(
            ("private_service_connect_config", "network"),
            ("private_service_connect_config", "dedicated_endpoint_enabled"),
        ),
        json=("traffic_split",),
    ),
}
