"""What a project must have before anything of it can be used: somebody who pays, and its APIs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from google.auth.exceptions import GoogleAuthError

from scripts.cloud.project_services import can_be_asked, fetch
from scripts.terminal.errors import CLOUD, OperatorError


@dataclasses.dataclass(frozen=True, slots=True)
class Lack:
    """Something that a project does not have.

    Attributes:
        message: what it is.
        hint: how to give it.
    """

    message: str
    hint: str


def lack_of_billing(project_id: str) -> Lack | None:
    """Nobody pays for the project; ``None`` where somebody does.

    Raises:
        OperatorError: it cannot be asked.
        google.auth.exceptions.GoogleAuthError: no credentials that Google accepts.
    """
    path = f"/v1/projects/{project_id}/billingInfo"
    if fetch("cloudbilling.googleapis.com", path, project_id).get("billingEnabled"):
        return None
    hint = f"gcloud billing projects link {project_id} --billing-account=ACCOUNT"
    return Lack(f"off for {project_id}", hint)


def lack_of_apis(project_id: str, apis: Iterable[str]) -> Lack | None:
    """APIs such as ``compute`` that are off, in one line; the platform's deployment enables them.

    Raises:
        OperatorError: it cannot be asked.
        google.auth.exceptions.GoogleAuthError: no credentials that Google accepts.
    """
    path = f"/v1/projects/{project_id}/services?filter=state:ENABLED&pageSize=200"
    answer = fetch("serviceusage.googleapis.com", path, project_id)
    on = {
        str(service.get("config", {}).get("name") or service["name"]).rpartition("/")[2]
        for service in answer.get("services", [])
    }
    off = [name for name in apis if f"{name}.googleapis.com" not in on]
    if not off:
        return None
    names = " ".join(f"{name}.googleapis.com" for name in off)
    hint = f"'cdktf deploy' enables them, or: gcloud services enable {names} --project {project_id}"
    return Lack(f"off: {', '.join(off)}", hint)


def refuse_unready(project_id: str, apis: Iterable[str], report: Callable[[str], None]) -> None:
    """Refuse what would fail later, in the words of 'sam-vertex doctor'.

    What cannot be asked is no reason to refuse: not everybody may look at billing and services.

    Args:
        project_id: the project.
        apis: those that are used.
        report: hears what could not be asked.

    Raises:
        OperatorError: nobody pays, or an API is off.
    """
    if not can_be_asked():
        return
    looks: dict[str, Callable[[], Lack | None]] = {
        "billing": lambda: lack_of_billing(project_id),
        "APIs": lambda: lack_of_apis(project_id, apis),
    }
    for title, look in looks.items():
        try:
            lack = look()
        except (OperatorError, GoogleAuthError) as error:
            report(f"{title} of {project_id} could not be asked for: {error}")
            continue
        if lack is not None:
            raise OperatorError(f"{title}: {lack.message}", hint=lack.hint, exit_code=CLOUD)
