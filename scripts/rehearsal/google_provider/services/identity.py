"""How Google Cloud names things: ids, links, e-mails and numbers of each resource type."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

Values = dict[str, Any]
_COMPUTE = "https://www.googleapis.com/compute/v1/"


def project_number(project: str) -> str:
    """Twelve digits that are always the same for a project id."""
    return str(10**11 + int(hashlib.sha256(project.encode()).hexdigest(), 16) % (9 * 10**11))


def _digits(text: str, count: int) -> str:
    return str(int(hashlib.sha256(text.encode()).hexdigest(), 16))[:count]


def _condition(values: Values) -> str:
    conditions = values.get("condition") or []
    return f" {conditions[0]['title']}" if conditions else ""


def _email(v: Values) -> str:
    return f"{v['account_id']}@{v['project']}.iam.gserviceaccount.com"


_MEMBER_TARGETS: dict[str, Callable[[Values], str]] = {
    "google_artifact_registry_repository_iam_member": lambda v: (
        f"projects/{v['project']}/locations/{v['location']}/repositories/{v['repository']}"
    ),
    "google_kms_crypto_key_iam_member": lambda v: str(v["crypto_key_id"]),
    "google_project_iam_member": lambda v: str(v["project"]),
    "google_service_account_iam_member": lambda v: str(v["service_account_id"]),
    "google_storage_bucket_iam_member": lambda v: f"b/{v['bucket']}",
    "google_storage_managed_folder_iam_member": lambda v: (
        f"b/{v['bucket']}/managedFolders/{v['managed_folder']}"
    ),
}
_IDS: dict[str, Callable[[Values], str]] = {
    "google_artifact_registry_repository": lambda v: (
        f"projects/{v['project']}/locations/{v['location']}/repositories/{v['repository_id']}"
    ),
    "google_bigquery_dataset": lambda v: f"projects/{v['project']}/datasets/{v['dataset_id']}",
    "google_bigquery_table": lambda v: (
        f"projects/{v['project']}/datasets/{v['dataset_id']}/tables/{v['table_id']}"
    ),
    "google_billing_budget": lambda v: (
        f"billingAccounts/{v['billing_account']}/budgets/{_digits(str(v['display_name']), 16)}"
    ),
    "google_compute_firewall": lambda v: f"projects/{v['project']}/global/firewalls/{v['name']}",
    "google_compute_network": lambda v: f"projects/{v['project']}/global/networks/{v['name']}",
    "google_compute_router": lambda v: (
        f"projects/{v['project']}/regions/{v['region']}/routers/{v['name']}"
    ),
    "google_compute_router_nat": lambda v: (
        f"{v['project']}/{v['region']}/{v['router']}/{v['name']}"
    ),
    "google_compute_subnetwork": lambda v: (
        f"projects/{v['project']}/regions/{v['region']}/subnetworks/{v['name']}"
    ),
    "google_kms_crypto_key": lambda v: f"{v['key_ring']}/cryptoKeys/{v['name']}",
    "google_kms_key_ring": lambda v: (
        f"projects/{v['project']}/locations/{v['location']}/keyRings/{v['name']}"
    ),
    "google_logging_metric": lambda v: str(v["name"]),
    "google_monitoring_alert_policy": lambda v: (
        f"projects/{v['project']}/alertPolicies/{_digits(str(v['display_name']), 19)}"
    ),
    "google_monitoring_dashboard": lambda v: (
        f"projects/{project_number(v['project'])}/dashboards/{_digits(v['dashboard_json'], 19)}"
    ),
    "google_monitoring_notification_channel": lambda v: (
        f"projects/{v['project']}/notificationChannels/{_digits(str(v['labels']), 19)}"
    ),
    "google_project_service": lambda v: f"{v['project']}/{v['service']}",
    "google_service_account": lambda v: f"projects/{v['project']}/serviceAccounts/{_email(v)}",
    "google_storage_bucket": lambda v: str(v["name"]),
    "google_storage_bucket_object": lambda v: f"{v['bucket']}-{v['name']}",
    "google_storage_managed_folder": lambda v: f"{v['bucket']}/{v['name']}",
    "google_vertex_ai_endpoint": lambda v: (
        f"projects/{v['project']}/locations/{v['location']}/endpoints/{v['name']}"
    ),
    "google_workbench_instance": lambda v: (
        f"projects/{v['project']}/locations/{v['location']}/instances/{v['name']}"
    ),
}


def is_member(type_name: str) -> bool:
    """Whether a type is a grant; making one twice is no error."""
    return type_name in _MEMBER_TARGETS


def resource_id(type_name: str, values: Values) -> str:
    """The ``id`` that the provider gives a resource."""
    if is_member(type_name):
        target = _MEMBER_TARGETS[type_name](values)
        return f"{target} {values['role']} {values['member']}{_condition(values)}"
    return _IDS[type_name](values)


def _storage_link(path: str) -> str:
    return f"https://www.googleapis.com/storage/v1/b/{path}"


def computed_values(type_name: str, id_: str, v: Values, now: str) -> Mapping[str, Any]:
    """What the service fills in, by dotted name.

    Args:
        type_name: resource type.
        id_: its id.
        v: the planned values; what is computed may still be unknown in them.
        now: the time, RFC 3339.
    """
    common: dict[str, Any] = {
        "id": id_,
        "create_time": now,
        "update_time": now,
        "creation_timestamp": now,
        "time_created": now,
        "updated": now,
        "etag": _digits(id_ + now, 12),
    }
    if type_name.startswith("google_compute_"):
        common["self_link"] = _COMPUTE + id_
    if type_name.startswith("google_bigquery_"):
        common |= _bigquery(id_, now)
    specific: Mapping[str, Any] = _SPECIFIC[type_name](id_, v) if type_name in _SPECIFIC else {}
    return {**common, **specific}


def _object(id_: str, v: Values) -> Mapping[str, Any]:
    content = str(v["content"] if isinstance(v.get("content"), str) else "").encode()
    digest = hashlib.md5(content, usedforsecurity=False)
    return {
        "content_type": "text/plain; charset=utf-8",
        "md5hexhash": digest.hexdigest(),
        "md5hash": digest.hexdigest(),
        "crc32c": _digits(str(content), 8),
        "generation": 1,
        "output_name": v["name"],
        "storage_class": "STANDARD",
        "self_link": _storage_link(f"{v['bucket']}/o/{v['name']}"),
        "media_link": _storage_link(f"{v['bucket']}/o/{v['name']}?alt=media"),
    }


def _bigquery(id_: str, now: str) -> Mapping[str, Any]:
    milliseconds = int(datetime.datetime.fromisoformat(now).timestamp() * 1000)
    return {
        "creation_time": milliseconds,
        "last_modified_time": milliseconds,
        "self_link": f"https://bigquery.googleapis.com/bigquery/v2/{id_}",
    }


def _endpoint(_id: str, v: Values) -> Mapping[str, Any]:
    host = f"{v['name']}.{v['location']}-{project_number(v['project'])}.prediction.vertexai.goog"
    return {
        # Without a scheme, whatever the API reference says: the SDK puts "https://" before it
        # (aiplatform/models.py 2.7.0, "https://{self.dedicated_endpoint_dns}/v1/...").
        "dedicated_endpoint_dns": host if v["dedicated_endpoint_enabled"] else "",
        "deployed_models": [],
        "model_deployment_monitoring_job": "",
        "traffic_split": "",
    }


_SPECIFIC: dict[str, Callable[[str, Values], Mapping[str, Any]]] = {
    "google_storage_bucket": lambda _id, v: {
        "url": f"gs://{v['name']}",
        "self_link": _storage_link(v["name"]),
        "project_number": int(project_number(v["project"])),
        "public_access_prevention": "inherited",
        "uniform_bucket_level_access": False,
        "rpo": None,
        "soft_delete_policy": [{"retention_duration_seconds": 604_800, "effective_time": None}],
    },
    "google_storage_managed_folder": lambda _id, v: {
        "metageneration": "1",
        "self_link": _storage_link(f"{v['bucket']}/managedFolders/{v['name']}"),
    },
    "google_storage_bucket_object": _object,
    "google_bigquery_dataset": lambda _id, _v: {
        # Those that a data set has unless it is told otherwise ("Control access to resources with
        # IAM", basic roles for data sets), but for the entry of whoever made it.
        "access": [
            {"role": role, "special_group": group}
            for role, group in (
                ("OWNER", "projectOwners"),
                ("WRITER", "projectWriters"),
                ("READER", "projectReaders"),
            )
        ],
        "default_collation": "",
        "is_case_insensitive": False,
        "max_time_travel_hours": "168",
        "storage_billing_model": "",
    },
    "google_bigquery_table": lambda _id, v: {
        "type": "EXTERNAL" if v.get("external_data_configuration") else "TABLE",
        "expiration_time": 0,
        "generated_schema_columns": "",
        "max_staleness": "",
        "num_bytes": 0,
        "num_long_term_bytes": 0,
        "num_rows": 0,
    },
    "google_artifact_registry_repository": lambda _id, v: {
        "name": v["repository_id"],
        "vulnerability_scanning_config": [
            {
                "enablement_config": None,
                "enablement_state": "SCANNING_DISABLED",
                "enablement_state_reason": "API containerscanning.googleapis.com is not enabled.",
            }
        ],
    },
    "google_service_account": lambda id_, v: {
        "email": _email(v),
        "member": f"serviceAccount:{_email(v)}",
        "name": id_,
        "unique_id": _digits(id_, 21),
    },
    "google_workbench_instance": lambda _id, v: {
        "state": v["desired_state"],
        "health_state": "HEALTHY",
        "health_info": [],
        "creator": "rehearsal@example.com",
        "proxy_uri": f"{v['name']}-dot-{v['location'][:-2]}.notebooks.googleusercontent.com",
        "upgrade_history": [],
        "gce_setup.tags": ["deeplearning-vm", "notebook-instance"],
        "gce_setup.service_accounts.scopes": [
            "https://www.googleapis.com/auth/cloud-platform",
            "https://www.googleapis.com/auth/userinfo.email",
        ],
    },
    "google_vertex_ai_endpoint": _endpoint,
    "google_kms_crypto_key": lambda id_, _v: {
        "destroy_scheduled_duration": "2592000s",
        "crypto_key_backend": "",
        "import_only": False,
        "primary": [{"name": f"{id_}/cryptoKeyVersions/1", "state": "ENABLED"}],
        "version_template": [
            {"algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION", "protection_level": "SOFTWARE"}
        ],
    },
    "google_monitoring_notification_channel": lambda id_, _v: {
        "name": id_,
        "verification_status": "",
    },
    "google_monitoring_alert_policy": lambda id_, _v: {"name": id_, "creation_record": []},
    "google_billing_budget": lambda id_, _v: {"name": id_.rpartition("/")[2]},
    "google_compute_subnetwork": lambda _id, v: {
        "gateway_address": ".".join([*str(v["ip_cidr_range"]).split(".")[:3], "1"]),
        "purpose": "PRIVATE",
        "stack_type": "IPV4_ONLY",
        "private_ipv6_google_access": "DISABLE_GOOGLE_ACCESS",
    },
    "google_compute_network": lambda id_, _v: {"routing_mode": "REGIONAL", "mtu": 0},
}
