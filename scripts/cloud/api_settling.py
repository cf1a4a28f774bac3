"""Waits until the APIs that were enabled a moment ago answer.

"If you enabled this API recently, wait a few minutes for the action to propagate to our systems and
retry" (Google's SERVICE_DISABLED). ``google_project_service`` waits for the list of enabled APIs
only, and no resource of the provider tries a 403 again (transport/error_retry_predicates.go of
hashicorp/google), so a first deployment would fail at whatever asks first.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from scripts.cloud.google_errors import ApiDisabledError
from scripts.cloud.project_services import can_be_asked, fetch
from scripts.cloud.vertex_sdk import poll_seconds
from scripts.terminal.errors import OperatorError

PATIENCE_SECONDS = 600.0
MOST_SECONDS = 5.0  # between two looks
# One cheap question for each API, by host and path; those that have none are not waited for.
PROBES = {
    "aiplatform": (
        "{region}-aiplatform.googleapis.com",
        "/v1/projects/{project}/locations/{region}/endpoints?pageSize=1",
    ),
    "artifactregistry": (
        "artifactregistry.googleapis.com",
        "/v1/projects/{project}/locations/{region}/repositories?pageSize=1",
    ),
    "bigquery": (
        "bigquery.googleapis.com",
        "/bigquery/v2/projects/{project}/datasets?maxResults=1",
    ),
    "billingbudgets": (
        "billingbudgets.googleapis.com",
        "/v1/billingAccounts/{billing_account}/budgets?pageSize=1",
    ),
    "cloudkms": (
        "cloudkms.googleapis.com",
        "/v1/projects/{project}/locations/{region}/keyRings?pageSize=1",
    ),
    "compute": ("compute.googleapis.com", "/compute/v1/projects/{project}/regions/{region}"),
    "iam": ("iam.googleapis.com", "/v1/projects/{project}/serviceAccounts?pageSize=1"),
    "logging": ("logging.googleapis.com", "/v2/projects/{project}/metrics?pageSize=1"),
    "monitoring": ("monitoring.googleapis.com", "/v1/projects/{project}/dashboards?pageSize=1"),
    "notebooks": (
        "notebooks.googleapis.com",
        "/v2/projects/{project}/locations/-/instances?pageSize=1",
    ),
}


def wait_for_apis(
    apis: list[str],
    project_id: str,
    region: str,
    billing_account: str = "",
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Wait until every API answers anything but that it is disabled.

    Args:
        apis: such as ``aiplatform``.
        project_id: where they were enabled.
        region: of the questions.
        billing_account: whose budgets are asked for.
        sleep: waits between two looks.

    Returns:
        The APIs that were asked; none in a local cloud without a stand-in of them.

    Raises:
        ApiDisabledError: one still says so after ten minutes.
    """
    asked = [api for api in apis if api in PROBES] if can_be_asked() else []
    deadline = time.monotonic() + PATIENCE_SECONDS
    for api in asked:
        host, path = PROBES[api][0].format(region=region), PROBES[api][1]
        path = path.format(project=project_id, region=region, billing_account=billing_account)
        while not _answers(host, path, project_id, last=time.monotonic() > deadline):
            sleep(min(poll_seconds(), MOST_SECONDS))
    return asked


def _answers(host: str, path: str, project_id: str, *, last: bool) -> bool:
    try:
        fetch(host, path, project_id)
    except ApiDisabledError:
        if last:
            raise
        return False
    except OperatorError:  # it answers; whether it allows this question is another's concern
        return True
    return True
