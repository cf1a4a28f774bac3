"""The services' routes, each below its host: ``/apis/HOST/PATH`` stands for ``https://HOST/PATH``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from scripts.rehearsal.api_errors import ApiError, not_found
from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.google_provider.services.settling import settles
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.iam.callers import UnknownCallerError, caller_of
from scripts.rehearsal.iam.policies import Policies, Resource, project, repository
from scripts.rehearsal.project_apis.agents import PREFIX, agent_email, make_agent, project_bindings
from scripts.rehearsal.project_apis.probes import PROBED
from scripts.rehearsal.project_apis.project import disabled, enabled_apis, quotas, refuse_disabled

Json = dict[str, Any]
POLLS = 1  # looks at an operation before it is done


def _caller(request: Request) -> str:
    try:
        return caller_of(request.headers.get("Authorization", ""))
    except UnknownCallerError as error:
        raise ApiError(401, "Request had invalid authentication credentials.") from error


Caller = Annotated[str, Depends(_caller)]


def make_router(world: World) -> APIRouter:
    """The routes.

    Args:
        world: what exists; ``billing`` in it may be false, ``quotas`` has those that differ.
    """
    router = APIRouter(prefix=PREFIX, tags=["project"])

    def asked(
        caller: str,
        permission: str,
        project_id: str,
        api: str = "",
        resource: Resource | None = None,
    ) -> Json:
        """The world, for a caller who may; an API other than Service Usage must be on."""
        contents = world.read()
        if api:
            refuse_disabled(contents, project_id, f"{api}.googleapis.com")
            if settles(world, f"{api}.googleapis.com"):
                raise disabled(project_id, f"{api}.googleapis.com")
        if not Policies(contents).allows(caller, permission, resource or project(project_id)):
            raise ApiError(
                403,
                f"Permission '{permission}' denied on resource 'projects/{project_id}' (or it may "
                "not exist).",
            )
        return contents

    @router.get("/cloudresourcemanager.googleapis.com/v3/projects/{project_id}")
    def get_project(project_id: str, caller: Caller) -> Json:
        """A project."""
        api = "cloudresourcemanager"
        asked(caller, "resourcemanager.projects.get", project_id, api)
        name = f"projects/{project_number(project_id)}"
        return {"name": name, "projectId": project_id, "state": "ACTIVE"}

    @router.post("/cloudresourcemanager.googleapis.com/v1/projects/{project_id}:getIamPolicy")
    def get_policy(project_id: str, caller: Caller) -> Json:
        """Who has which role on a project; Google grants each agent its own when it makes it."""
        permission = "resourcemanager.projects.getIamPolicy"
        contents = asked(caller, permission, project_id, "cloudresourcemanager")
        return {"bindings": project_bindings(contents, project_id)}

    @router.get("/cloudbilling.googleapis.com/v1/projects/{project_id}/billingInfo")
    def get_billing(project_id: str, caller: Caller) -> Json:
        """Whether somebody pays."""
        contents = asked(caller, "resourcemanager.projects.get", project_id, "cloudbilling")
        enabled = bool(contents.get("billing", True))
        return {"projectId": project_id, "billingEnabled": enabled}

    @router.get("/serviceusage.googleapis.com/v1/projects/{project_id}/services")
    def list_services(project_id: str, caller: Caller) -> Json:
        """The APIs that are on, whatever the filter: nobody asks for the others."""
        contents = asked(caller, "serviceusage.services.list", project_id)
        return {
            "services": [
                {
                    "name": f"projects/{project_number(project_id)}/services/{api}",
                    "config": {"name": api},
                    "state": "ENABLED",
                }
                for api in enabled_apis(contents, project_id)
            ]
        }

    @router.post(
        "/serviceusage.googleapis.com/v1beta1/projects/{project_id}/services/"
        "{api}:generateServiceIdentity"
    )
    def generate_service_identity(project_id: str, api: str, caller: Caller) -> Json:
        """Begin to make an API's agent, or find it."""
        contents = asked(caller, "serviceusage.services.enable", project_id)
        refuse_disabled(contents, project_id, api)
        email = agent_email(project_id, api)
        name = f"operations/agent.{project_number(project_id)}.{api}"
        with world.open() as changed:
            operations = changed.setdefault("service_operations", {})
            operations.setdefault(name, {"email": email, "polls": POLLS})
        return {"name": name}

    @router.get("/serviceusage.googleapis.com/v1beta1/{name:path}")
    def get_operation(name: str, caller: Caller) -> Json:
        """An operation; the agent is there when it is done."""
        with world.open() as contents:
            operation = contents.get("service_operations", {}).get(name)
            if operation is None:
                raise not_found(name)
            operation["polls"] -= 1
            if operation["polls"] >= 0:
                return {"name": name}
            make_agent(contents, operation["email"])
            return {
                "name": name,
                "done": True,
                "response": {
                    "@type": "type.googleapis.com/google.api.serviceusage.v1beta1.ServiceIdentity",
                    "email": operation["email"],
                    "uniqueId": "1" * 21,
                },
            }

    @router.get(
        "/cloudquotas.googleapis.com/v1/projects/{project_id}/locations/global/services/{api}"
        "/quotaInfos/{quota_id}"
    )
    def get_quota(project_id: str, api: str, quota_id: str, caller: Caller) -> Json:
        """One quota, in every region the same."""
        contents = asked(caller, "cloudquotas.quotas.get", project_id, "cloudquotas")
        value = quotas(contents).get(quota_id)
        if value is None:
            raise not_found(f"quotaInfos/{quota_id} of {api}")
        details = {"value": str(value)}
        return {"quotaId": quota_id, "service": api, "dimensionsInfos": [{"details": details}]}

    @router.get(
        "/notebooks.googleapis.com/v2/projects/{project_id}/locations/{zone}/instances/{instance}"
    )
    def get_instance(project_id: str, zone: str, instance: str, caller: Caller) -> Json:
        """A Workbench."""
        name = f"projects/{project_id}/locations/{zone}/instances/{instance}"
        contents = asked(caller, "notebooks.instances.get", project_id, "notebooks")
        values = contents["resources"].get("google_workbench_instance", {}).get(name)
        if values is None:
            raise not_found(name)
        return {"name": name, "state": values["state"], "healthState": values["health_state"]}

    @router.get(
        "/artifactregistry.googleapis.com/v1/projects/{project_id}/locations/{location}"
        "/repositories/{name}/packages/{package}/tags/{tag}"
    )
    def get_tag(
        project_id: str, location: str, name: str, package: str, tag: str, caller: Caller
    ) -> Json:
        """The image that has a tag."""
        held = repository(project_id, location, name)
        contents = asked(caller, "artifactregistry.tags.get", project_id, "artifactregistry", held)
        image = f"{location}-docker.pkg.dev/{project_id}/{name}/{package.replace('%2F', '/')}"
        parent = f"{held.policies[-1]}/packages/{package}"
        for pushed in contents.get("images", {}).get(image, []):
            if tag in pushed["tags"]:
                version = f"{parent}/versions/{pushed['digest']}"
                return {"name": f"{parent}/tags/{tag}", "version": version}
        raise not_found(f"{parent}/tags/{tag}")

    tables = "/bigquery.googleapis.com/bigquery/v2/projects/{project_id}/datasets/{data_set}/tables"

    @router.get(tables)
    def list_tables(project_id: str, data_set: str, caller: Caller) -> Json:
        """The tables of a data set. Whoever made it owns it by its own list, which is not kept."""
        contents = asked(caller, "resourcemanager.projects.get", project_id, "bigquery")
        reference = {"projectId": project_id, "datasetId": data_set}
        if f"projects/{project_id}/datasets/{data_set}" not in contents["resources"].get(
            "google_bigquery_dataset", {}
        ):
            raise not_found(f"Dataset {project_id}:{data_set}")
        return {
            "tables": [
                {"tableReference": {**reference, "tableId": name.rpartition("/")[2]}}
                for name in contents["resources"].get("google_bigquery_table", {})
                if name.startswith(f"projects/{project_id}/datasets/{data_set}/tables/")
            ]
        }

    @router.delete(f"{tables}/{{table}}", status_code=204)
    def delete_table(project_id: str, data_set: str, table: str, caller: Caller) -> None:
        """A table goes."""
        asked(caller, "resourcemanager.projects.get", project_id, "bigquery")
        name = f"projects/{project_id}/datasets/{data_set}/tables/{table}"
        with world.open() as contents:
            if contents["resources"].get("google_bigquery_table", {}).pop(name, None) is None:
                raise not_found(name)

    @router.get("/billingbudgets.googleapis.com/v1/billingAccounts/{account}/budgets")
    def list_budgets(account: str, caller: Caller, request: Request) -> Json:
        """The budgets, which are not told; the API must be on in the project that pays for this."""
        payer = request.headers.get("X-Goog-User-Project", "")
        asked(caller, "resourcemanager.projects.get", payer, "billingbudgets")
        return {}

    @router.get("/{host}/{path:path}")
    def probe(host: str, path: str, caller: Caller) -> Json:
        """A question by which somebody learns whether an API answers; what it lists is not told."""
        for api, (pattern, permission) in PROBED.items():
            match = re.fullmatch(pattern, f"{host}/{path}")
            if match:
                asked(caller, permission, match["project"], api)
                return {}
        raise not_found(f"{host}/{path}")

    return router
