"""The checks of a Google Cloud project: a token, billing, APIs, quotas of GPUs, the Workbench."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from scripts.cloud.credentials import access_token, find_credentials
from scripts.cloud.google_errors import PermissionMissingError, explain_google_error
from scripts.cloud.project_services import (
    call,
    can_be_asked,
    fetch,
    rehearsed_address,
)
from scripts.cloud.project_state import lack_of_apis, lack_of_billing
from scripts.cloud.quotas import read_quota, request_line
from scripts.prerequisites.findings import Finding
from scripts.terminal.errors import OperatorError

APIS = (
    *("aiplatform", "artifactregistry", "cloudbilling", "cloudbuild", "cloudquotas"),
    *("cloudresourcemanager", "compute", "iam", "iamcredentials", "logging", "monitoring"),
    *("notebooks", "serviceusage", "storage", "sts"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class GpuQuota:
    """A quota that a part of the platform needs.

    Attributes:
        title: who needs it.
        service: whose quota it is.
        quota_id: its name; Vertex AI's are those of gcloud 528
            (surface/ai/endpoints, _ACCELERATOR_TYPE_TO_QUOTA_ID_MAP) and of its error messages.
        needed: how many.
        regional: whether each region has its own.
    """

    title: str
    service: str
    quota_id: str
    needed: int
    regional: bool = True


_VERTEX, _COMPUTE = "aiplatform.googleapis.com", "compute.googleapis.com"
QUOTAS = (
    GpuQuota("quota serving", _VERTEX, "CustomModelServingT4GPUsPerProjectPerRegion", 1),
    GpuQuota("quota training", _VERTEX, "CustomModelTrainingT4GPUsPerProjectPerRegion", 1),
    GpuQuota("quota Workbench", _COMPUTE, "NVIDIA-T4-GPUS-per-project-region", 1),
    GpuQuota("quota all regions", _COMPUTE, "GPUS-ALL-REGIONS-per-project", 1, regional=False),
)
# Compute Engine's are the Workbench's alone.
WITHOUT_WORKBENCH = tuple(quota for quota in QUOTAS if quota.service != _COMPUTE)


def cloud_findings(
    project_id: str,
    region: str,
    workbench: tuple[str, str],
    endpoint_name: str = "",
    quotas: Sequence[GpuQuota] = QUOTAS,
) -> Iterator[Finding]:
    """Check a project, in the order in which one thing needs another.

    Args:
        project_id: the project; empty where nothing names one.
        region: of endpoint and pipeline.
        workbench: name and zone of the Workbench; empty names where none is deployed.
        endpoint_name: full name of the endpoint; empty where none is deployed.
        quotas: those that are needed.
    """
    if not project_id:
        yield Finding("project", "skipped", "SAM_PROJECT_ID is not set and nothing is deployed")
        return
    if not can_be_asked():
        yield Finding("project", "skipped", "this shell uses the local cloud")
        return
    checks: list[tuple[str, Callable[[], Finding]]] = []
    if not rehearsed_address():
        checks.append(("token", lambda: check_token(project_id)))
    checks += [
        ("project", lambda: check_project(project_id)),
        ("billing", lambda: check_billing(project_id)),
        ("APIs", lambda: check_apis(project_id)),
        ("agents", lambda: check_agents(project_id)),
    ]
    for quota in quotas:
        checks.append((quota.title, lambda quota=quota: check_quota(quota, project_id, region)))  # type: ignore[misc]
    if workbench[0]:
        checks.append(("workbench", lambda: check_workbench(project_id, *workbench)))
    if endpoint_name:
        checks.append(("model", lambda: check_model(project_id, region, endpoint_name)))
    for name, check in checks:
        finding = _checked(name, check)
        yield finding
        if name == "token" and finding.bad:  # then nothing else can be asked
            return


def _checked(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except PermissionMissingError as error:
        if name == "project":  # whoever may not see it has named another
            return Finding(name, "wrong", str(error), error.hint)
        # The Workbench's account, for one, need not see everything that an operator sets up.
        return Finding(name, "skipped", f"you may not look: {error}", error.hint)
    except Exception as error:
        known = error if isinstance(error, OperatorError) else explain_google_error(error)
        if known is None:
            raise
        return Finding(name, "wrong", str(known), known.hint)


def check_token(project_id: str) -> Finding:
    """Whether Google gives a token for this machine's credentials, and which project pays."""
    access_token(project_id)
    payer = getattr(find_credentials(project_id), "quota_project_id", None)
    paid = f"; {payer} pays for calls" if payer else ""
    return Finding("token", "ok", f"Google accepts the credentials{paid}")


def check_project(project_id: str) -> Finding:
    """Whether the project exists and is active."""
    answer = fetch("cloudresourcemanager.googleapis.com", f"/v3/projects/{project_id}", project_id)
    state = str(answer.get("state", ""))
    if state and state != "ACTIVE":
        hint = f"gcloud projects undelete {project_id}, or choose another SAM_PROJECT_ID"
        return Finding("project", "wrong", f"{project_id} is {state}", hint)
    return Finding("project", "ok", project_id)


def check_billing(project_id: str) -> Finding:
    """Whether somebody pays."""
    lack = lack_of_billing(project_id)
    if lack is None:
        return Finding("billing", "ok", "on")
    return Finding("billing", "wrong", lack.message, lack.hint)


def check_apis(project_id: str) -> Finding:
    """Whether the APIs are on; the platform's own deployment enables them."""
    lack = lack_of_apis(project_id, APIS)
    if lack is None:
        return Finding("APIs", "ok", f"{len(APIS)} are on")
    return Finding("APIs", "waiting", lack.message, lack.hint)


def check_agents(project_id: str) -> Finding:
    """Whether Vertex AI's agent is there: the project's policy names it from its making on."""
    path = f"/v1/projects/{project_id}:getIamPolicy"
    policy = call("POST", "cloudresourcemanager.googleapis.com", path, project_id)
    members = [member for binding in policy.get("bindings", []) for member in binding["members"]]
    if any("@gcp-sa-aiplatform.iam." in member for member in members):
        return Finding("agents", "ok", "Vertex AI's is there")
    service = "aiplatform.googleapis.com"
    hint = (
        "'cdktf deploy' makes it, or: "
        f"gcloud beta services identity create --service={service} --project={project_id}"
    )
    return Finding("agents", "waiting", "Vertex AI's is not made yet", hint)


def check_quota(quota: GpuQuota, project_id: str, region: str) -> Finding:
    """Whether a quota of GPUs is enough, and the line that asks for more where it is not."""
    value = read_quota(project_id, region, quota.service, quota.quota_id) or 0
    text = f"{value} of {quota.needed} needed ({quota.quota_id})"
    if value == -1 or value >= quota.needed:  # -1 is unlimited
        return Finding(quota.title, "ok", text)
    place = region if quota.regional else ""
    hint = request_line(project_id, quota.service, quota.quota_id, quota.needed, place)
    return Finding(quota.title, "wrong", text, hint)


def check_model(project_id: str, region: str, endpoint_name: str) -> Finding:
    """Whether a model is deployed on the endpoint, which bills it and answers by it."""
    path = f"/v1/{endpoint_name}"
    answer = fetch(f"{region}-aiplatform.googleapis.com", path, project_id)
    count = len(answer.get("deployedModels", []))
    if count:
        return Finding("model", "ok", f"{count} deployed")
    return Finding("model", "waiting", "none is deployed", "sam-vertex model release")


def check_workbench(project_id: str, name: str, zone: str) -> Finding:
    """Whether the Workbench runs."""
    path = f"/v2/projects/{project_id}/locations/{zone}/instances/{name}"
    state = str(fetch("notebooks.googleapis.com", path, project_id).get("state", "UNKNOWN"))
    if state in ("ACTIVE", "STOPPED"):
        return Finding("workbench", "ok", f"{name} is {state}")
    hint = f"gcloud workbench instances describe {name} --location={zone}"
    return Finding("workbench", "waiting", f"{name} is {state}", hint)
