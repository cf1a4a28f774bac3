"""What the real provider enforces beyond its schema, resource by resource, as data.

Source: terraform-provider-google at 6.50.0, file ``google/services/<product>/resource_*.go`` of
each resource (ForceNew, ValidateFunc, Default, ConflictsWith, ExactlyOneOf, DiffSuppressFunc), and
the limits of the services' own APIs. A dotted name goes through nested blocks.
"""

from __future__ import annotations

from scripts.rehearsal.google_provider.rules.resource_rules import (
    Rules,
    same_case,
    same_duration,
    same_json,
    same_link,
)

_NAME = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
_MEMBER = Rules(
    force_new=(
        "role",
        "member",
        "bucket",
        "managed_folder",
        "project",
        "location",
        "repository",
        "service_account_id",
        "crypto_key_id",
        "condition.title",
        "condition.expression",
        "condition.description",
    ),
    patterns={
        "role": r"(roles/[\w.]+|(projects|organizations)/[^/]+/roles/[\w.]+)",
        "member": r"(allUsers|allAuthenticatedUsers|(user|group|domain|serviceAccount"
        r"|principal|principalSet|projectOwner|projectEditor|projectViewer):.+)",
    },
)
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
    "google_project_service": Rules(
        force_new=("service", "project"),
        defaults={"disable_on_destroy": True},
        patterns={"service": r"(?!bigquery-json\.)[a-z0-9-]+(\.[a-z0-9-]+)+"},
    ),
    "google_storage_bucket": Rules(
        force_new=("name", "location", "project", "hierarchical_namespace.enabled"),
        defaults={
            "storage_class": "STANDARD",
            "force_destroy": False,
            "soft_delete_policy.retention_duration_seconds": 604_800,
        },
        enums={
            "lifecycle_rule.action.type": (
                "Delete",
                "SetStorageClass",
                "AbortIncompleteMultipartUpload",
            ),
            "lifecycle_rule.condition.with_state": ("LIVE", "ARCHIVED", "ANY", ""),
            "rpo": ("DEFAULT", "ASYNC_TURBO"),
        },
        longest={"lifecycle_rule": 100},
        computed_blocks=("soft_delete_policy", "retention_policy", "autoclass"),
        same={"location": same_case},
    ),
    "google_storage_managed_folder": Rules(
        force_new=("bucket", "name"),
        defaults={"force_destroy": False},
        patterns={"name": r".*/"},
    ),
    "google_storage_bucket_object": Rules(
        force_new=("bucket", "name", "content_type", "cache_control", "metadata", "source"),
        enums={"deletion_policy": ("ABANDON", "")},
        conflicts=(("kms_key_name", "customer_encryption"),),
        exactly_one=(("", ("content", "source")),),
        sensitive=("content",),
    ),
    "google_artifact_registry_repository": Rules(
        force_new=("repository_id", "format", "location", "kms_key_name", "mode", "project"),
        defaults={"mode": "STANDARD_REPOSITORY", "cleanup_policies.condition.tag_state": "ANY"},
        enums={
            "mode": ("STANDARD_REPOSITORY", "VIRTUAL_REPOSITORY", "REMOTE_REPOSITORY"),
            "cleanup_policies.action": ("DELETE", "KEEP"),
            "cleanup_policies.condition.tag_state": ("TAGGED", "UNTAGGED", "ANY"),
        },
        computed_blocks=("vulnerability_scanning_config",),
        same={
            "format": same_case,
            "cleanup_policies.condition.older_than": same_duration,
            "cleanup_policies.condition.newer_than": same_duration,
        },
    ),
    "google_service_account": Rules(
        force_new=("account_id", "project"),
        defaults={"disabled": False},
        patterns={"account_id": r"(?=.{6,30}$)[a-z]([-a-z0-9]*[a-z0-9])"},
        longest={"description": 256, "display_name": 100},
    ),
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
    "google_kms_key_ring": Rules(force_new=("name", "location", "project")),
    "google_kms_crypto_key": Rules(
        force_new=(
            "key_ring",
            "name",
            "purpose",
            "import_only",
            "destroy_scheduled_duration",
            "crypto_key_backend",
        ),
        defaults={"purpose": "ENCRYPT_DECRYPT"},
        enums={"purpose": ("ENCRYPT_DECRYPT", "ASYMMETRIC_SIGN", "ASYMMETRIC_DECRYPT", "MAC")},
        patterns={"rotation_period": r"([0-9.]*\d)s"},
        computed_blocks=("version_template",),
    ),
    "google_compute_firewall": Rules(
        force_new=("name", "project", "network", "direction"),
        enums={
            "direction": ("INGRESS", "EGRESS"),
            "log_config.metadata": ("EXCLUDE_ALL_METADATA", "INCLUDE_ALL_METADATA"),
        },
        patterns={"name": _NAME},
        ranges={"priority": (0, 65_535)},
        defaults={"priority": 1000},
        exactly_one=(("", ("allow", "deny")),),
        same={"network": same_link},
    ),
    "google_compute_network": Rules(
        force_new=("name", "project", "auto_create_subnetworks", "description"),
        defaults={"auto_create_subnetworks": True, "delete_default_routes_on_create": False},
        patterns={"name": _NAME},
    ),
    "google_compute_subnetwork": Rules(
        force_new=("name", "project", "region", "network", "description"),
        defaults={
            "log_config.aggregation_interval": "INTERVAL_5_SEC",
            "log_config.flow_sampling": 0.5,
            "log_config.metadata": "INCLUDE_ALL_METADATA",
            "log_config.filter_expr": "true",
        },
        enums={
            "log_config.metadata": (
                "EXCLUDE_ALL_METADATA",
                "INCLUDE_ALL_METADATA",
                "CUSTOM_METADATA",
            ),
            "log_config.aggregation_interval": (
                "INTERVAL_5_SEC",
                "INTERVAL_30_SEC",
                "INTERVAL_1_MIN",
                "INTERVAL_5_MIN",
                "INTERVAL_10_MIN",
                "INTERVAL_15_MIN",
            ),
        },
        patterns={"name": _NAME, "ip_cidr_range": r"\d+\.\d+\.\d+\.\d+/\d+"},
        ranges={"log_config.flow_sampling": (0, 1)},
        same={"network": same_link},
    ),
    "google_compute_router": Rules(
        force_new=("name", "project", "region", "network"),
        patterns={"name": _NAME},
        same={"network": same_link},
    ),
    "google_compute_router_nat": Rules(
        force_new=("name", "project", "region", "router"),
        defaults={
            "icmp_idle_timeout_sec": 30,
            "tcp_established_idle_timeout_sec": 1200,
            "tcp_time_wait_timeout_sec": 120,
            "tcp_transitory_idle_timeout_sec": 30,
            "udp_idle_timeout_sec": 30,
            "type": "PUBLIC",
        },
        enums={
            "nat_ip_allocate_option": ("MANUAL_ONLY", "AUTO_ONLY"),
            "source_subnetwork_ip_ranges_to_nat": (
                "ALL_SUBNETWORKS_ALL_IP_RANGES",
                "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES",
                "LIST_OF_SUBNETWORKS",
            ),
            "log_config.filter": ("ERRORS_ONLY", "TRANSLATIONS_ONLY", "ALL"),
        },
    ),
    "google_monitoring_dashboard": Rules(
        force_new=("project",), json=("dashboard_json",), same={"dashboard_json": same_json}
    ),
    "google_monitoring_notification_channel": Rules(
        force_new=("project",),
        defaults={"enabled": True, "force_delete": False},
    ),
    "google_monitoring_alert_policy": Rules(
        force_new=("project",),
        defaults={"enabled": True},
        enums={
            "combiner": ("AND", "OR", "AND_WITH_MATCHING_RESOURCE"),
            "severity": ("CRITICAL", "ERROR", "WARNING"),
            "conditions.condition_threshold.comparison": tuple(
                f"COMPARISON_{name}" for name in ("GT", "GE", "LT", "LE", "EQ", "NE")
            ),
        },
        patterns={
            "conditions.condition_threshold.duration": r"\d+s",
            "conditions.condition_threshold.aggregations.alignment_period": r"\d+s",
        },
    ),
    "google_billing_budget": Rules(
        force_new=("billing_account",),
        enums={"threshold_rules.spend_basis": ("CURRENT_SPEND", "FORECASTED_SPEND")},
        defaults={"threshold_rules.spend_basis": "CURRENT_SPEND"},
        exactly_one=(("amount", ("specified_amount", "last_period_amount")),),
        longest={"all_updates_rule.monitoring_notification_channels": 5},
        computed_blocks=("budget_filter",),
    ),
    "google_artifact_registry_repository_iam_member": _MEMBER,
    "google_kms_crypto_key_iam_member": _MEMBER,
    "google_project_iam_member": _MEMBER,
    "google_service_account_iam_member": _MEMBER,
    "google_storage_bucket_iam_member": _MEMBER,
    "google_storage_managed_folder_iam_member": _MEMBER,
}
