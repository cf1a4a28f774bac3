"""What the services do when Terraform creates, changes, reads or deletes a resource."""

from __future__ import annotations

import datetime
from typing import Any

from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.schema.snapshot import Block, resource_block
from scripts.rehearsal.google_provider.schema.values import UNKNOWN
from scripts.rehearsal.google_provider.services.faults import meet_faults
from scripts.rehearsal.google_provider.services.identity import (
    Values,
    computed_values,
    is_member,
    project_number,
    resource_id,
)
from scripts.rehearsal.google_provider.services.refusals import (
    ServiceError,
    api_of,
    disabled,
    refuse_creation,
    refuse_deletion,
    refuse_references,
)
from scripts.rehearsal.google_provider.services.settling import begin_to_settle, settles
from scripts.rehearsal.google_provider.services.stored_objects import StoredObjects
from scripts.rehearsal.google_provider.world import World

SERVER_METADATA = {"enable-jupyterlab4": "true", "version-description": "rehearsed"}


class CreatedAndFailed(ServiceError):
    """The service made the resource, and then the operation failed: Terraform marks it tainted.

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
        self._stored = StoredObjects(objects)

    def create(self, type_name: str, planned: Values) -> Values:
        """Make a resource; return its values as the provider would."""
        fails_after = meet_faults(self.world, type_name, "create")
        api = api_of(type_name)
        if api and settles(self.world, api):
            raise disabled(api, str(planned.get("project") or ""))
        with self.world.open() as world:
            id_ = resource_id(type_name, planned)
            earlier = world["resources"].get(type_name, {}).get(id_)
            taken = earlier is not None and self._stored.exists(type_name, earlier)
            refuse_creation(world, type_name, id_, planned, taken=taken)
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            filled = computed_values(type_name, id_, planned, now)
            values: Values = _fill(resource_block(type_name), planned, filled, "")
            if type_name == "google_storage_bucket":
                values["location"] = values["location"].upper()
            if type_name == "google_workbench_instance" and values["gce_setup"]:
                setup = values["gce_setup"][0]
                setup["metadata"] = {**(setup["metadata"] or {}), **SERVER_METADATA}
            self._stored.write(type_name, values)
            world["resources"].setdefault(type_name, {})[id_] = values
            if type_name == "google_project_service":
                begin_to_settle(world, str(values["service"]))
                _add_compute_agent(world, values)
        if fails_after:
            raise CreatedAndFailed("Error waiting to create: operation failed (injected)", values)
        return values

    def update(self, type_name: str, planned: Values) -> Values:
        """Change a resource in place."""
        meet_faults(self.world, type_name, "update")
        with self.world.open() as world:
            id_ = str(planned["id"])
            existing = world["resources"].get(type_name, {})
            if id_ not in existing:
                raise ServiceError(f"googleapi: Error 404: {id_} was not found., notFound")
            refuse_references(world, type_name, planned)
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            filled = computed_values(type_name, id_, planned, now)
            values: Values = _fill(resource_block(type_name), planned, filled, "")
            for name in ("update_time", "updated", "dedicated_endpoint_dns"):
                if name in values:
                    values[name] = filled[name]
            self._stored.write(type_name, values)
            existing[id_] = values
        return values

    def read(self, type_name: str, id_: str) -> Values | None:
        """The values of a resource as they are now, or ``None`` when it is gone."""
        values: Values | None = self.world.read()["resources"].get(type_name, {}).get(id_)
        return values if values is not None and self._stored.exists(type_name, values) else None

    def delete(self, type_name: str, values: Values) -> None:
        """Delete a resource; one that is gone already is no error."""
        meet_faults(self.world, type_name, "delete")
        with self.world.open() as world:
            existing = world["resources"].get(type_name, {})
            if str(values["id"]) not in existing:
                return
            refuse_deletion(world, self.objects, type_name, values)
            self._stored.delete(type_name, values)
            del existing[str(values["id"])]
            _drop_grants(world, type_name, values)
            if type_name == "google_storage_bucket":  # what was in it is gone with it
                for kind in ("google_storage_managed_folder", "google_storage_bucket_object"):
                    inside = world["resources"].get(kind, {})
                    for id_ in [id_ for id_, v in inside.items() if v["bucket"] == values["name"]]:
                        del inside[id_]
            if type_name == "google_bigquery_dataset":
                inside = world["resources"].get("google_bigquery_table", {})
                for id_ in [id_ for id_ in inside if id_.startswith(f"{values['id']}/")]:
                    del inside[id_]
            if type_name in ("google_kms_key_ring", "google_kms_crypto_key"):
                world["retired"].append(values["id"])


def _add_compute_agent(world: dict[str, Any], values: Values) -> None:
    """Make Compute Engine's agent when its API is enabled: nobody can ask for it."""
    agents = world.get("agents")
    if agents is not None and values["service"] == "compute.googleapis.com":
        number = project_number(str(values["project"]))
        email = f"service-{number}@compute-system.iam.gserviceaccount.com"
        agents.extend({email} - set(agents))


def _drop_grants(world: dict[str, Any], type_name: str, values: Values) -> None:
    """Forget the grants on a deleted resource: a later one of its name starts without."""
    target = f"b/{values['name']}" if type_name == "google_storage_bucket" else str(values["id"])
    if type_name == "google_storage_managed_folder":
        target = f"b/{values['bucket']}/managedFolders/{values['name']}"
    for kind, grants in world["resources"].items():
        if is_member(kind):
            for id_ in [id_ for id_ in grants if id_.startswith((f"{target} ", f"{target}/m"))]:
                del grants[id_]


def _fill(block: Block, planned: Values, filled: Any, path: str) -> Values:
    """Replace unknown values by the service's; null, or no block, where it answers nothing."""
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
