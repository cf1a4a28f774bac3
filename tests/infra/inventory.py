"""The golden inventory: what the stacks would create, according to a plan of the real Terraform.

    python -m tests.infra.inventory      # write tests/data/inventory/*.yaml anew

It lists only what matters: for each type of resource the attributes below, of every resource of
that type, whatever its hashed name is.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from scripts.rehearsal import local_cloud as clouds
from scripts.rehearsal.google_provider.schema.values import leaves
from scripts.rehearsal.google_provider.services.identity import project_number
from tests.infra.deployment import STACKS, VARIANTS, Deployment

FOLDER = Path(__file__).parents[1] / "data" / "inventory"
IMPORTANT: dict[str, tuple[str, ...]] = {
    "google_artifact_registry_repository": (
        "repository_id", "location", "format", "kms_key_name", "docker_config.immutable_tags",
        "cleanup_policies.id",
        "cleanup_policies.action",
    ),
    "google_artifact_registry_repository_iam_member": ("role", "member"),
    "google_bigquery_dataset": ("dataset_id", "location", "delete_contents_on_destroy"),
    "google_bigquery_table": (
        "dataset_id", "table_id", "deletion_protection",
        "external_data_configuration.autodetect", "external_data_configuration.source_format",
        "external_data_configuration.source_uris",
    ),
    "google_billing_budget": (
        "billing_account", "amount.specified_amount.units",
        "amount.specified_amount.currency_code", "threshold_rules.threshold_percent",
    ),
    "google_compute_firewall": ("name", "direction", "priority", "deny.protocol"),
    "google_compute_network": ("name", "auto_create_subnetworks"),
    "google_compute_router": ("name", "region"),
    "google_compute_router_nat": ("name", "source_subnetwork_ip_ranges_to_nat"),
    "google_compute_subnetwork": (
        "name", "region", "ip_cidr_range", "private_ip_google_access",
    ),
    "google_kms_crypto_key": ("name", "purpose", "rotation_period"),
    "google_kms_crypto_key_iam_member": ("role", "member"),
    "google_kms_key_ring": ("name", "location"),
    "google_logging_metric": (
        "name", "metric_descriptor.metric_kind", "metric_descriptor.value_type", "value_extractor",
    ),
    "google_monitoring_alert_policy": (
        "display_name", "severity", "conditions.condition_threshold.comparison",
        "conditions.condition_threshold.threshold_value",
        "conditions.condition_threshold.duration",
    ),
    "google_monitoring_dashboard": ("project",),
    "google_monitoring_notification_channel": ("type", "labels.email_address"),
    "google_project_iam_member": ("role", "member"),
    "google_project_service": ("service", "disable_on_destroy"),
    "google_service_account": ("account_id",),
    "google_service_account_iam_member": ("service_account_id", "role", "member"),
    "google_storage_bucket": (
        "name", "location", "force_destroy", "uniform_bucket_level_access",
        "public_access_prevention", "versioning.enabled",
        "soft_delete_policy.retention_duration_seconds", "lifecycle_rule.action.type",
        "encryption.default_kms_key_name", "logging.log_bucket",
    ),
    "google_storage_bucket_iam_member": ("role", "member"),
    "google_storage_bucket_object": ("name",),
    "google_storage_managed_folder": ("name", "force_destroy"),
    "google_storage_managed_folder_iam_member": ("managed_folder", "role", "member"),
    "google_vertex_ai_endpoint": (
        "name", "location", "dedicated_endpoint_enabled", "traffic_split",
        "encryption_spec.kms_key_name",
        "predict_request_response_logging_config.sampling_rate",
    ),
    "google_workbench_instance": (
        "name", "location", "gce_setup.machine_type", "gce_setup.accelerator_configs.type",
        "gce_setup.vm_image.family", "gce_setup.disable_public_ip",
        "gce_setup.service_accounts.email",
        "gce_setup.boot_disk.disk_encryption", "gce_setup.boot_disk.kms_key",
        "gce_setup.shielded_instance_config.enable_vtpm", "instance_owners",
        "gce_setup.metadata.idle-timeout-seconds", "gce_setup.metadata.post-startup-script",
    ),
    "terraform_data": (),  # the model's teardown; test_model.py looks into it
}  # fmt: skip


def of_plan(changes: list[dict[str, Any]], project: str) -> dict[str, list[dict[str, Any]]]:
    """The inventory of one plan: for each type, its resources' important attributes, sorted.

    Args:
        changes: all resource changes of the plan.
        project: its id, which the inventory replaces by my-project, as it does its number.
    """
    text = json.dumps(changes).replace(project, "my-project")
    text = text.replace(project_number(project), project_number("my-project"))
    inventory: dict[str, list[dict[str, Any]]] = {}
    for change in json.loads(text):
        if change["mode"] != "managed":
            continue
        kind, planned = change["type"], change["change"]["after"]
        entry = {}
        for name in IMPORTANT[kind]:
            values = [value for _, value in leaves(planned, name) if value is not None]
            if values:
                entry[name] = values[0] if len(values) == 1 else values
        inventory.setdefault(kind, []).append(entry)
    return {
        kind: sorted(entries, key=lambda entry: yaml.safe_dump(entry))
        for kind, entries in sorted(inventory.items())
    }


def main() -> None:
    """Write the inventory of every variant."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        cloud = clouds.start(Path(home, "cloud"))
        try:
            for variant, settings in VARIANTS.items():
                made = Deployment(Path(home, variant), cloud, **settings)
                stacks = {stack: of_plan(made.planned(stack), made.project) for stack in STACKS}
                made.close()
                text = yaml.safe_dump(stacks, sort_keys=True, width=100)
                (FOLDER / f"{variant}.yaml").write_text(text, "utf-8")
        finally:
            clouds.stop(cloud.home)


if __name__ == "__main__":
    main()
