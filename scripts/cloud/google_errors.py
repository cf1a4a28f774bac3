"""What Google's refusals mean to an operator: credentials, grants, APIs, billing, quotas, silence.

The texts are Google's own, as its libraries and public reports quote them; another wording is shown
as Google wrote it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from scripts.terminal.errors import CLOUD, OperatorError

LOGIN = "gcloud auth application-default login"
SETTLING = "if that was a moment ago, wait a few minutes and run the same command again"


def explain_google_error(error: Exception) -> OperatorError | None:
    """The error of a Google library, or one that such an error caused, in an operator's terms.

    Returns:
        ``None`` where Google's answer says nothing that an operator should do differently.
    """
    if "google.auth" not in sys.modules:  # then no library of Google's has raised anything
        return None
    for cause in _chain(error):
        if isinstance(cause, OperatorError):
            return None  # somebody has explained it already
        explained = _of_credentials(cause) or _of_answer(cause) or _of_silence(cause)
        if explained is not None:
            return explained
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__


class ApiDisabledError(OperatorError):
    """An API is off, or was turned on a moment ago."""


class PermissionMissingError(OperatorError):
    """Whoever calls lacks a grant."""


def _cloud(message: str, hint: str) -> OperatorError:
    return OperatorError(message, hint=hint, exit_code=CLOUD)


def _of_credentials(error: BaseException) -> OperatorError | None:
    from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

    if isinstance(error, DefaultCredentialsError):
        text = str(error)
        if "were not found" in text:
            text = "there are none"
        return _cloud(
            f"no Google Cloud credentials on this machine: {text}",
            f"{LOGIN}, or rehearse: sam-vertex rehearsal start",
        )
    if isinstance(error, RefreshError) and not isinstance(error.__cause__, TransportError):
        if error.retryable:
            return None
        return _cloud(
            f"Google does not accept the credentials of this machine any more: {_first(error)}",
            f"{LOGIN}; a key of GOOGLE_APPLICATION_CREDENTIALS may be deleted or disabled",
        )
    return None


def _of_answer(error: BaseException) -> OperatorError | None:
    """By HTTP status and by what the answer says."""
    from google.api_core.exceptions import GoogleAPICallError

    if not isinstance(error, GoogleAPICallError):
        return None
    text = str(error)
    reason = str(error.reason or "")
    metadata = dict(error.metadata or {})
    return refusal(int(error.code or 0), text, reason, metadata)


def refusal(
    status: int, text: str, reason: str = "", metadata: dict[str, str] | None = None
) -> OperatorError | None:
    """What a refused call means.

    Args:
        status: of HTTP; 0 where the library has none.
        text: the whole answer.
        reason: of its ``google.rpc.ErrorInfo``, or empty.
        metadata: of the same.

    Returns:
        ``None`` where it is none of the refusals that need an operator.
    """
    named = metadata or {}
    if status == 401:
        return _cloud(f"Google does not accept the credentials: {_first(text)}", LOGIN)
    if status == 403:
        return _of_403(text, reason, named)
    if status == 429 or "RESOURCE_EXHAUSTED" in text or quota_exceeded(text):
        return _of_quota(text, named)
    if status == 400 and agents_are_provisioned(text):
        return _cloud(
            f"Google is still making this project's service agents: {_first(text)}",
            "wait a few minutes and run the same command again",
        )
    return None


def _of_403(text: str, reason: str, named: dict[str, str]) -> OperatorError:
    # Before SERVICE_DISABLED: the same reason, about a project of Google's own (32555940559).
    if "requires a quota project" in text:
        return _cloud(
            "your credentials name no project that pays for calls (no quota project)",
            "gcloud auth application-default set-quota-project PROJECT",
        )
    if "serviceusage.services.use" in text or reason == "USER_PROJECT_DENIED":
        return _cloud(
            f"you may not use the quota project: {_first(text)}",
            "ask for roles/serviceusage.serviceUsageConsumer on it, or choose another: "
            "gcloud auth application-default set-quota-project PROJECT",
        )
    if reason == "BILLING_DISABLED" or re.search(
        r"[Bb]illing.{0,60}(disabled|to be enabled)", text
    ):
        return _cloud(
            f"billing is off for this project: {_first(text)}",
            "gcloud billing projects link PROJECT --billing-account=ACCOUNT",
        )
    if reason == "SERVICE_DISABLED" or "has not been used in project" in text:
        service = named.get("service") or _match(r"([a-z]+\.googleapis\.com)", text) or "the API"
        project = named.get("consumer", "").removeprefix("projects/") or _match(
            r"in project (\S+) before", text
        )
        return ApiDisabledError(
            f"{service} is not enabled in project {project or 'of this call'}",
            hint=f"gcloud services enable {service}; {SETTLING}",
            exit_code=CLOUD,
        )
    if "iam.serviceaccounts.actas" in text.lower():
        return _cloud(
            f"you may not act as a service account: {_first(text)}",
            "ask an owner for roles/iam.serviceAccountUser on that account",
        )
    permission = named.get("permission") or (
        _match(r"[Pp]ermission '?([a-z]+\.[\w.]+)'?", text)
        or _match(r"does not have ([a-z]+\.[\w.]+) access", text)  # as Cloud Storage says it
    )
    what = f"permission {permission} is missing" if permission else "permission denied"
    return PermissionMissingError(
        f"{what}: {_first(text)}",
        hint="ask an owner of the project for a role that has it, or log in as somebody who has: "
        f"{LOGIN}; a grant takes minutes to work",
        exit_code=CLOUD,
    )


def _of_quota(text: str, named: dict[str, str]) -> OperatorError | None:
    """A quota of the project; 429 without one is Google's load, which is worth another try."""
    if "quota" not in text.lower():
        return None
    metric = (
        named.get("quota_metric")
        or _match(r"([\w.-]+\.googleapis\.com/[\w.-]+)", text)
        or _match(r"\b(Custom\w+Per\w+)", text)
        or "a quota"
    )
    return _cloud(
        f"{metric} is used up: {_first(text)}",
        "'sam-vertex doctor' shows what there is and the line that asks for more; or free some: "
        "sam-vertex model undeploy, sam-vertex pipeline cancel RUN",
    )


def _of_silence(error: BaseException) -> OperatorError | None:
    import requests
    from google.api_core.exceptions import GatewayTimeout, RetryError, ServiceUnavailable
    from google.auth.exceptions import TransportError

    silent = (
        *(GatewayTimeout, ServiceUnavailable, RetryError, TransportError),
        *(requests.exceptions.ConnectionError, requests.exceptions.Timeout),
    )
    if not isinstance(error, silent):
        return None
    return _cloud(
        f"Google does not answer: {_first(error)}",
        "check this machine's connection (HTTPS_PROXY), then run the same command again",
    )


def quota_exceeded(error: Exception | str) -> bool:
    """Whether Google refuses because a quota of the project is used up."""
    text = str(error).lower()
    return "quota" in text and "exceed" in text


def allocation_used_up(error: Exception | str) -> bool:
    """Whether something that the project holds, such as a GPU, has no quota left.

    A quota of calls per minute is free again a moment later; this one only when somebody frees it.
    Google's text: GoogleCloudPlatform/vertex-ai-samples, issues 700 and 3479.
    """
    return "exceed quota limits" in str(error).lower()


def agents_are_provisioned(error: Exception | str) -> bool:
    """Whether the project's service agents are being made, which a first call starts."""
    text = str(error).lower()
    return "service agent" in text and "provision" in text


def _first(text: object) -> str:
    """The first line, without the details that Google's libraries append."""
    line = str(text).strip().partition("\n")[0].partition(" [")[0]
    return line if len(line) <= 300 else f"{line[:297]}..."


def _match(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""
