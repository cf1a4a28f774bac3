"""Rules of Cloud Storage and Artifact Registry.

Source: terraform-provider-google at 6.50.0, ``google/services/<product>/resource_*.go``.
"""

from __future__ import annotations

from scripts.rehearsal.google_provider.rules.resource_rules import Rules, same_case, same_duration

RULES: dict[str, Rules] = {
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
}
