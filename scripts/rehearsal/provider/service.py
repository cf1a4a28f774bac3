"""What the services do when something is made, changed, looked at or deleted, and what they refuse.

Refusals are worded like the real ones. What is not checked is listed in this folder's README.
"""

from __future__ import annotations

import datetime
import re
import time
from typing import Any

from scripts.rehearsal.provider.identity import (
    Values,
    computed_values,
    is_member,
    project_number,
    resource_id,
)
from scripts.rehearsal.provider.objects import Objects
from scripts.rehearsal.provider.schema import Block, resource_block
from scripts.rehearsal.provider.values import UNKNOWN, first
from scripts.rehearsal.provider.world import World

APIS = {
    "google_artifact_registry": "artifactregistry",
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
    "google_compute_subnetwork": {"network": "google_compute_network"},
    "google_compute_router": {"network": "google_compute_network"},
    "google_workbench_instance": {
        "gce_setup.network_interfaces.network": "google_compute_network",
        "gce_setup.network_interfaces.subnet": "google_compute_subnetwork",
    },
}
SERVER_METADATA = {"enable-jupyterlab4": "true", "version-description": "rehearsed"}
RETRIES = 3
PLACEHOLDER = ".managed-folder"


class ServiceError(Exception):
    """What the service answered instead of doing it."""


class CreatedAndFailed(ServiceError):
    """The thing was made, and then the operation failed: Terraform marks it tainted.

    Attributes:
        values: what exists now.
    """

    def __init__(self, message: str, values: Values) -> None:
        super().__init__(message)
        self.values = values


class Service:
    """Google Cloud, as far as the stacks use it.

    Args:
        world: what exists.
        objects: the storage stand-in; ``None`` keeps buckets in the world alone.
    """

    def __init__(self, world: World, objects: Objects | None) -> None:
        self.world = world
        self.objects = objects

    def create(self, type_name: str, planned: Values) -> Values:
        """Make a resource; return its values as the provider would."""
        fault = self._fault(type_name, "create")
        with self.world.open() as world:
            id_ = resource_id(type_name, planned)
            self._may_create(world, type_name, id_, planned)
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            filled = computed_values(type_name, id_, planned, now)
            values: Values = _fill(resource_block(type_name), planned, filled, "")
            if type_name == "google_storage_bucket":
                values["location"] = values["location"].upper()
            if type_name == "google_workbench_instance" and values["gce_setup"]:
                setup = values["gce_setup"][0]
                setup["metadata"] = {**(setup["metadata"] or {}), **SERVER_METADATA}
            self._store(type_name, values)
            world["resources"].setdefault(type_name, {})[id_] = values
        if fault == "fail_after":
            raise CreatedAndFailed("Error waiting to create: operation failed (injected)", values)
        return values

    def update(self, type_name: str, planned: Values) -> Values:
        """Change a resource in place."""
        self._fault(type_name, "update")
        with self.world.open() as world:
            id_ = str(planned["id"])
            existing = world["resources"].get(type_name, {})
            if id_ not in existing:
                raise ServiceError(f"googleapi: Error 404: {id_} was not found., notFound")
            self._refers(world, type_name, planned)
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            filled = computed_values(type_name, id_, planned, now)
            values: Values = _fill(resource_block(type_name), planned, filled, "")
            for name in ("update_time", "updated", "dedicated_endpoint_dns"):
                if name in values:
                    values[name] = filled[name]
            self._store(type_name, values)
            existing[id_] = values
        return values

    def read(self, type_name: str, id_: str) -> Values | None:
        """The values of a resource as they are now, or ``None`` when it is gone."""
        values: Values | None = self.world.read()["resources"].get(type_name, {}).get(id_)
        return values if values is not None and self._is_stored(type_name, values) else None

    def _is_stored(self, type_name: str, values: Values) -> bool:
        """Whether what lies in the storage stand-in is there; somebody may have deleted it."""
        if self.objects is None:
            return True
        if type_name == "google_storage_bucket":
            return self.objects.has_bucket(values["name"])
        if type_name in ("google_storage_bucket_object", "google_storage_managed_folder"):
            return self.objects.has(values["bucket"], _object_name(values["name"]))
        return True

    def delete(self, type_name: str, values: Values) -> None:
        """Delete a resource; one that is gone already is no error."""
        self._fault(type_name, "delete")
        with self.world.open() as world:
            existing = world["resources"].get(type_name, {})
            if str(values["id"]) not in existing:
                return
            self._may_delete(world, type_name, values)
            self._remove(type_name, values)
            del existing[str(values["id"])]
            if type_name == "google_storage_bucket":  # what was in it is gone with it
                for kind in ("google_storage_managed_folder", "google_storage_bucket_object"):
                    inside = world["resources"].get(kind, {})
                    for id_ in [id_ for id_, v in inside.items() if v["bucket"] == values["name"]]:
                        del inside[id_]
            if type_name in ("google_kms_key_ring", "google_kms_crypto_key"):
                world["retired"].append(values["id"])

    def _fault(self, type_name: str, action: str) -> str | None:
        """Meet the faults that were injected for this; each has ``times`` left."""
        attempts = 0
        while True:
            with self.world.open() as world:
                fault = next(
                    (
                        one
                        for one in world["faults"]
                        if one["times"] > 0
                        and (one["type"], one["action"]) == (type_name, action)
                    ),
                    None,
                )
                if fault is None:
                    return None
                fault["times"] -= 1
                kind = str(fault["kind"])
                seconds = float(fault.get("seconds", 0))
            if kind == "slow":
                time.sleep(seconds)
                return None
            if kind == "fail":
                raise ServiceError("googleapi: Error 500: Internal error (injected), backendError")
            if kind == "fail_after":
                return kind
            attempts += 1  # "conflict": the provider tries again, a few times
            if attempts > RETRIES:
                raise ServiceError("googleapi: Error 409: unable to queue the operation, aborted")
            time.sleep(0.05 * attempts)

    def _may_create(self, world: dict[str, Any], type_name: str, id_: str, v: Values) -> None:
        project = v.get("project")
        api = next((api for start, api in APIS.items() if type_name.startswith(start)), None)
        enabled = world["resources"].get("google_project_service", {})
        if api and project and f"{project}/{api}.googleapis.com" not in enabled:
            raise ServiceError(
                f"googleapi: Error 403: {api}.googleapis.com has not been used in project "
                f"{project} before or it is disabled., SERVICE_DISABLED"
            )
        earlier = world["resources"].get(type_name, {}).get(id_)
        taken = earlier is not None and self._is_stored(type_name, earlier)
        if (taken or id_ in world["retired"]) and not is_member(type_name):
            raise ServiceError(f"googleapi: Error 409: {id_} already exists., alreadyExists")
        if type_name == "google_storage_bucket":
            if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", v["name"]):
                raise ServiceError(
                    f"googleapi: Error 400: Invalid bucket name: '{v['name']}', invalid"
                )
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
            self._may_create_workbench(v)
        self._refers(world, type_name, v)

    @staticmethod
    def _may_create_workbench(v: Values) -> None:
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", v["name"]):
            raise ServiceError(f"Error creating Instance: 400: invalid name {v['name']}")
        if not re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z]", v["location"]):
            raise ServiceError(f"Error creating Instance: 400: {v['location']} is not a zone")
        accelerator = first(v, "gce_setup.accelerator_configs.type")
        machine = first(v, "gce_setup.machine_type")
        if accelerator == "NVIDIA_TESLA_T4" and not str(machine).startswith("n1-"):
            raise ServiceError(f"Error creating Instance: 400: {machine} takes no {accelerator}")

    def _refers(self, world: dict[str, Any], type_name: str, v: Values) -> None:
        """Refuse references to what does not exist."""

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
            if account and not agent and not exists("google_service_account", name):
                raise ServiceError(
                    f"googleapi: Error 400: Service account {email} does not exist., badRequest"
                )
        self._may_encrypt(world, type_name, v)

    @staticmethod
    def _may_encrypt(world: dict[str, Any], type_name: str, v: Values) -> None:
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

    def _may_delete(self, world: dict[str, Any], type_name: str, v: Values) -> None:
        things = world["resources"]
        if type_name == "google_storage_bucket" and not v["force_destroy"]:
            if self.objects and self.objects.names(v["name"], ""):
                raise ServiceError(
                    f"Error trying to delete bucket {v['name']} containing objects without "
                    "`force_destroy` set to true"
                )
        if type_name == "google_storage_managed_folder" and not v["force_destroy"]:
            inside = self.objects.names(v["bucket"], v["name"]) if self.objects else []
            if [name for name in inside if not name.endswith(PLACEHOLDER)]:
                raise ServiceError(
                    f"googleapi: Error 409: The managed folder {v['name']} you tried to delete "
                    "is not empty., conflict"
                )
        if type_name == "google_vertex_ai_endpoint":
            stored = things.get(type_name, {}).get(v["id"], {})
            if stored.get("deployed_models"):
                raise ServiceError(
                    f'Error 400: Endpoint {v["id"]} has deployed or being-deployed DeployedModel(s)'
                )
        if type_name == "google_compute_network":
            users = [
                *things.get("google_compute_subnetwork", {}).values(),
                *things.get("google_compute_router", {}).values(),
            ]
            if any(user["network"].endswith(v["id"]) for user in users):
                raise ServiceError(
                    f"googleapi: Error 400: The network resource '{v['id']}' is already being "
                    "used, resourceInUseByAnotherResource"
                )

    def _store(self, type_name: str, v: Values) -> None:
        """Make in the storage stand-in what is really made there."""
        if self.objects is None:
            return
        if type_name == "google_storage_bucket" and not self.objects.has_bucket(v["name"]):
            self.objects.create_bucket(v["name"], v["project"])
        elif type_name == "google_storage_managed_folder":
            self.objects.put(v["bucket"], _object_name(v["name"]), b"")
        elif type_name == "google_storage_bucket_object":
            self.objects.put(v["bucket"], v["name"], str(v["content"] or "").encode())

    def _remove(self, type_name: str, v: Values) -> None:
        if self.objects is None:
            return
        if type_name == "google_storage_bucket":
            self.objects.delete_bucket(v["name"])
        elif type_name in ("google_storage_bucket_object", "google_storage_managed_folder"):
            self.objects.delete(v["bucket"], _object_name(v["name"]))


def _object_name(name: str) -> str:
    """What stands in the storage stand-in for an object, or for a folder.

    A managed folder is no object; the stand-in has only objects, and none whose name ends in "/".
    """
    return name + PLACEHOLDER if name.endswith("/") else name


def _fill(block: Block, planned: Values, filled: Any, path: str) -> Values:
    """Replace what was unknown by what the service answers; null, or no block, where nothing."""
    values: Values = {}
    for name in block.get("attributes", {}):
        value = planned.get(name)
        values[name] = filled.get(path + name) if value is UNKNOWN else value
    for name, nested in block.get("block_types", {}).items():
        value = planned.get(name)
        if value is UNKNOWN:
            value = filled.get(path + name, [])
        if isinstance(value, list):
            value = [_fill(nested["block"], item, filled, f"{path}{name}.") for item in value]
        elif isinstance(value, dict):
            value = _fill(nested["block"], value, filled, f"{path}{name}.")
        values[name] = value
    return values
