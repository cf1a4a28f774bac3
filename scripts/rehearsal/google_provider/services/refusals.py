"""What the services refuse to make, change or delete, worded like the real ones.

The README of the provider lists what nobody checks here.
"""

from __future__ import annotations

import re
from typing import Any

from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.schema.values import UNKNOWN, first
from scripts.rehearsal.google_provider.services.identity import Values, is_member, project_number
from scripts.rehearsal.google_provider.services.settling import DISABLED

PLACEHOLDER = ".managed-folder"
APIS = {
    "google_artifact_registry": "artifactregistry",
    "google_bigquery": "bigquery",
    "google_billing": "billingbudgets",
    "google_compute": "compute",
    "google_kms": "cloudkms",
    "google_monitoring": "monitoring",
    "google_service_account": "iam",
    "google_storage": "storage",
    "google_vertex_ai": "aiplatform",
    "google_workbench": "notebooks",
}
# Who must be granted the key before something is encrypted with it.
KEY_USERS = {
    "google_storage_bucket": ("encryption.default_kms_key_name", ("gs-project-accounts",)),
    "google_artifact_registry_repository": ("kms_key_name", ("gcp-sa-artifactregistry",)),
    "google_workbench_instance": (
        "gce_setup.boot_disk.kms_key",
        ("gcp-sa-notebooks", "compute-system"),
    ),
    "google_vertex_ai_endpoint": ("encryption_spec.kms_key_name", ("gcp-sa-aiplatform",)),
}
# Arguments that name another resource, and the type of that.
REFERENCES = {
    "google_storage_managed_folder": {"bucket": "google_storage_bucket"},
    "google_storage_bucket_object": {"bucket": "google_storage_bucket"},
    "google_storage_bucket_iam_member": {"bucket": "google_storage_bucket"},
    "google_storage_managed_folder_iam_member": {"bucket": "google_storage_bucket"},
    "google_storage_bucket": {"logging.log_bucket": "google_storage_bucket"},
    "google_service_account_iam_member": {"service_account_id": "google_service_account"},
    "google_kms_crypto_key": {"key_ring": "google_kms_key_ring"},
    "google_kms_crypto_key_iam_member": {"crypto_key_id": "google_kms_crypto_key"},
    "google_compute_firewall": {"network": "google_compute_network"},
    "google_compute_subnetwork": {"network": "google_compute_network"},
    "google_compute_router": {"network": "google_compute_network"},
    "google_workbench_instance": {
        "gce_setup.network_interfaces.network": "google_compute_network",
        "gce_setup.network_interfaces.subnet": "google_compute_subnetwork",
    },
}


class ServiceError(Exception):
    """The message of a service that refuses a request."""


def disabled(api: str, project: str) -> ServiceError:
    """The refusal of an API that is off, or was turned on a moment ago."""
    text = DISABLED.format(project=project_number(project), api=api)
    return ServiceError(f"googleapi: Error 403: {api} {text}, SERVICE_DISABLED")


def api_of(type_name: str) -> str:
    """The API of a resource type, such as ``compute.googleapis.com``; empty where none is known."""
    name = next((api for start, api in APIS.items() if type_name.startswith(start)), "")
    return f"{name}.googleapis.com" if name else ""


def refuse_creation(
    world: dict[str, Any], type_name: str, id_: str, v: Values, *, taken: bool
) -> None:
    """Raise where a resource cannot be made.

    Args:
        world: what exists.
        type_name: resource type.
        id_: the id that it would have.
        v: its values.
        taken: whether something exists under that id.

    Raises:
        ServiceError: the API is not enabled, the name is taken or wrong, something it refers to
            does not exist, or a key is not granted.
    """
    project = v.get("project")
    api = api_of(type_name)
    enabled = world["resources"].get("google_project_service", {})
    if api and project and f"{project}/{api}" not in enabled:
        raise disabled(api, str(project))
    if (taken or id_ in world["retired"]) and not is_member(type_name):
        raise ServiceError(f"googleapi: Error 409: {id_} already exists., alreadyExists")
    if type_name == "google_storage_bucket":
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", v["name"]):
            raise ServiceError(f"googleapi: Error 400: Invalid bucket name: '{v['name']}', invalid")
        if not re.fullmatch(r"(US|EU|ASIA|[a-z]+-[a-z]+\d+)", v["location"], re.IGNORECASE):
            raise ServiceError("googleapi: Error 400: The location constraint is not valid.")
        if v["public_access_prevention"] not in (UNKNOWN, None, "inherited", "enforced"):
            raise ServiceError("googleapi: Error 400: Invalid publicAccessPrevention, invalid")
    if type_name == "google_storage_managed_folder":
        bucket = world["resources"].get("google_storage_bucket", {}).get(v["bucket"], {})
        if bucket and not bucket["uniform_bucket_level_access"]:
            raise ServiceError(
                "googleapi: Error 400: Managed folders need uniform bucket-level access"
            )
    if type_name == "google_vertex_ai_endpoint" and not re.fullmatch(
        r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9]\d{0,9}", v["name"]
    ):
        raise ServiceError("Error creating Endpoint: 400: The endpoint id is not valid")
    if type_name == "google_workbench_instance":
        _refuse_workbench(world, v)
    if type_name == "google_bigquery_table":
        _refuse_table(world, v)
    refuse_references(world, type_name, v)


def _refuse_table(world: dict[str, Any], v: Values) -> None:
    dataset = f"projects/{v['project']}/datasets/{v['dataset_id']}"
    if dataset not in world["resources"].get("google_bigquery_dataset", {}):
        raise ServiceError(
            f"googleapi: Error 404: Not found: Dataset {v['project']}:{v['dataset_id']}, notFound"
        )
    for external in v.get("external_data_configuration") or []:
        for uri in external["source_uris"]:
            bucket, _, name = str(uri).removeprefix("gs://").partition("/")
            # One '*' after the bucket's name (API reference, ExternalDataConfiguration).
            if not uri.startswith("gs://") or "*" in bucket or name.count("*") > 1 or not name:
                raise ServiceError(f"googleapi: Error 400: Invalid source URI {uri}, invalid")
            if bucket not in world["resources"].get("google_storage_bucket", {}):
                raise ServiceError(f"googleapi: Error 404: Not found: URI {uri}, notFound")
        if not isinstance(v.get("schema"), str):
            raise ServiceError(
                "googleapi: Error 400: Error while reading table: no schema, and no file to "
                "detect one from, invalid"
            )


def _refuse_workbench(world: dict[str, Any], v: Values) -> None:
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", v["name"]):
        raise ServiceError(f"Error creating Instance: 400: invalid name {v['name']}")
    if not re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z]", v["location"]):
        raise ServiceError(f"Error creating Instance: 400: {v['location']} is not a zone")
    accelerator = first(v, "gce_setup.accelerator_configs.type")
    machine = first(v, "gce_setup.machine_type")
    if accelerator == "NVIDIA_TESLA_T4" and not str(machine).startswith("n1-"):
        raise ServiceError(f"Error creating Instance: 400: {machine} takes no {accelerator}")
    if accelerator:
        _refuse_beyond_quota(world)


def _refuse_beyond_quota(world: dict[str, Any]) -> None:
    """Refuse a Workbench with a GPU where the quotas of Compute Engine have none left."""
    existing = world["resources"].get("google_workbench_instance", {}).values()
    used = sum(bool(first(other, "gce_setup.accelerator_configs.type")) for other in existing)
    for metric, quota_id, where in (
        ("GPUS_ALL_REGIONS", "GPUS-ALL-REGIONS-per-project", "globally"),
        ("NVIDIA_T4_GPUS", "NVIDIA-T4-GPUS-per-project-region", "in region"),
    ):
        limit = world.get("quotas", {}).get(quota_id)
        if limit is not None and used + 1 > limit:
            raise ServiceError(
                "Error waiting to create Instance: Error waiting for Creating Instance: Error code "
                f"8, message: Quota '{metric}' exceeded.  Limit: {float(limit)} {where}."
            )


def refuse_references(world: dict[str, Any], type_name: str, v: Values) -> None:
    """Raise ``ServiceError`` where something refers to what does not exist."""

    def exists(kind: str, name: str) -> bool:
        relative = re.sub(r"^https://[^/]+/(compute/)?v\d+/", "", name)
        return relative in world["resources"].get(kind, {}) or relative in world["existing"]

    for argument, kind in REFERENCES.get(type_name, {}).items():
        name = first(v, argument)
        if isinstance(name, str) and name and not exists(kind, name):
            raise ServiceError(
                f"googleapi: Error 404: {argument} {name!r} does not exist., notFound"
            )
    if type_name == "google_storage_managed_folder_iam_member":
        folder = f"{v['bucket']}/{v['managed_folder']}"
        if not exists("google_storage_managed_folder", folder):
            raise ServiceError(f"googleapi: Error 404: managed folder {folder!r}, notFound")
    emails = [v["member"].partition(":")[2]] if is_member(type_name) else []
    emails += [str(first(v, "gce_setup.service_accounts.email") or "")]
    for email in emails:
        account = re.fullmatch(r"[^@]+@([a-z0-9-]+)\.iam\.gserviceaccount\.com", email)
        agent = email.startswith("service-")
        name = f"projects/{account[1]}/serviceAccounts/{email}" if account else ""
        agents = world.get("agents")
        if agent and agents is not None and email not in agents:
            raise ServiceError(
                f"googleapi: Error 400: Service account {email} does not exist., badRequest"
            )
        if account and not agent and not exists("google_service_account", name):
            raise ServiceError(
                f"googleapi: Error 400: Service account {email} does not exist., badRequest"
            )
    _refuse_encryption(world, type_name, v)


def _refuse_encryption(world: dict[str, Any], type_name: str, v: Values) -> None:
    argument, agents = KEY_USERS.get(type_name, ("", ()))
    key = first(v, argument) if argument else None
    if not isinstance(key, str) or not key:
        return
    grants = world["resources"].get("google_kms_crypto_key_iam_member", {}).values()
    granted = " ".join(grant["member"] for grant in grants if grant["crypto_key_id"] == key)
    for agent in agents:
        if f"@{agent}." not in granted:
            raise ServiceError(
                f"googleapi: Error 403: Permission denied on Cloud KMS key {key}: grant "
                f"roles/cloudkms.cryptoKeyEncrypterDecrypter to service-"
                f"{project_number(v['project'])}@{agent}.iam.gserviceaccount.com., forbidden"
            )


def refuse_deletion(
    world: dict[str, Any], objects: Objects | None, type_name: str, v: Values
) -> None:
    """Raise ``ServiceError`` where a resource cannot be deleted: it holds data, or is in use."""
    resources = world["resources"]
    if type_name == "google_storage_bucket" and not v["force_destroy"]:
        # The provider lists with versions (resource_storage_bucket.go, 6.50.0, Delete).
        inside = objects.listed(v["name"], "", versions=True) if objects else []
        if inside:
            raise ServiceError(
                f"Error trying to delete bucket {v['name']} containing objects without "
                "`force_destroy` set to true"
            )
    if type_name == "google_storage_managed_folder" and not v["force_destroy"]:
        names = objects.names(v["bucket"], v["name"]) if objects else []
        if [name for name in names if not name.endswith(PLACEHOLDER)]:
            raise ServiceError(
                f"googleapi: Error 409: The managed folder {v['name']} you tried to delete "
                "is not empty., conflict"
            )
    if type_name == "google_bigquery_table" and v["deletion_protection"]:
        raise ServiceError(
            f"cannot destroy table {v['id']} without setting deletion_protection=false and "
            "running `terraform apply`"
        )
    if type_name == "google_bigquery_dataset" and not v["delete_contents_on_destroy"]:
        tables = resources.get("google_bigquery_table", {})
        if [name for name in tables if name.startswith(f"{v['id']}/")]:
            raise ServiceError(
                f"googleapi: Error 400: Dataset {v['project']}:{v['dataset_id']} is still in use, "
                "resourceInUse"
            )
    if type_name == "google_vertex_ai_endpoint":
        stored = resources.get(type_name, {}).get(v["id"], {})
        if stored.get("deployed_models"):
            raise ServiceError(
                f"Error 400: Endpoint {v['id']} has deployed or being-deployed DeployedModel(s)"
            )
    if type_name == "google_compute_network":
        users = [
            *resources.get("google_compute_subnetwork", {}).values(),
            *resources.get("google_compute_router", {}).values(),
            *resources.get("google_compute_firewall", {}).values(),
        ]
        if any(user["network"].endswith(v["id"]) for user in users):
            raise ServiceError(
                f"googleapi: Error 400: The network resource '{v['id']}' is already being "
                "used, resourceInUseByAnotherResource"
            )
