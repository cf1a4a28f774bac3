"""Rules of APIs, accounts, grants and keys.

Source: terraform-provider-google at 6.50.0, ``google/services/<product>/resource_*.go``.
"""

from __future__ import annotations

from scripts.rehearsal.google_provider.rules.resource_rules import Rules

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
RULES: dict[str, Rules] = {
    "google_project_service": Rules(
        force_new=("service", "project"),
        defaults={"disable_on_destroy": True},
        patterns={"service": r"(?!bigquery-json\.)[a-z0-9-]+(\.[a-z0-9-]+)+"},
    ),
    "google_service_account": Rules(
        force_new=("account_id", "project"),
        defaults={"disabled": False},
        patterns={"account_id": r"(?=.{6,30}$)[a-z]([-a-z0-9]*[a-z0-9])"},
        longest={"description": 256, "display_name": 100},
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
    "google_artifact_registry_repository_iam_member": _MEMBER,
    "google_kms_crypto_key_iam_member": _MEMBER,
    "google_project_iam_member": _MEMBER,
    "google_service_account_iam_member": _MEMBER,
    "google_storage_bucket_iam_member": _MEMBER,
    "google_storage_managed_folder_iam_member": _MEMBER,
}
