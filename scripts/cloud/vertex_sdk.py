"""The Vertex AI SDK, pointed at a region of Google Cloud or at a rehearsal."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

from scripts.cloud.credentials import find_credentials
from scripts.cloud.google_errors import (
    agents_are_provisioned,
    allocation_used_up,
    explain_google_error,
)
from scripts.terminal.errors import OperatorError

REHEARSAL = "SAM_REHEARSAL_VERTEX"
REHEARSED_ACCOUNT = "SAM_REHEARSAL_ACCOUNT"  # e-mail of whom a shell acts as; empty: its operator
RETRY_SECONDS = 120.0  # of patience with one call
CALL_SECONDS = 120.0  # for one call; an operation that a call starts may take longer
FIRST_PAUSE_SECONDS = 0.5
T = TypeVar("T")


def in_rehearsal() -> bool:
    """Whether this shell is pointed at a rehearsal."""
    return bool(os.environ.get(REHEARSAL))


def connect(project_id: str, region: str) -> Any:
    """Return the initialised ``google.cloud.aiplatform``; importing it takes five seconds.

    In a rehearsal (``SAM_REHEARSAL_VERTEX`` names the stand-in) the SDK talks REST to loopback
    without credentials; everywhere else it looks for the operator's own.

    Raises:
        OperatorError: no credentials, or a rehearsal that is not on this machine.
    """
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import aiplatform

    limit_calls()
    # The SDK logs every step it takes; the command prints its own.
    for name in logging.root.manager.loggerDict:
        if name.startswith("google.cloud.aiplatform"):
            logging.getLogger(name).setLevel(logging.WARNING)
    address = os.environ.get(REHEARSAL, "")
    if not address:
        try:
            # Found here and now: init itself looks for none, and the first call would be too late.
            credentials = find_credentials(project_id)
        except DefaultCredentialsError as error:
            raise explain_google_error(error) or error from error
        aiplatform.init(project=project_id, location=region, credentials=credentials)
        return aiplatform
    if not address.startswith("http://127.0.0.1:"):
        raise OperatorError(f"{REHEARSAL}={address} is not on this machine", hint="unset it")
    aiplatform.init(
        project=project_id,
        location=region,
        credentials=_rehearsed_credentials(),
        api_endpoint=address,
        api_transport="rest",
    )
    return aiplatform


def limit_calls() -> None:
    """Give every call of clients that are made from now on an end.

    The SDK's clients have none (``default_timeout=None`` in aiplatform_v1/services/*/transports/
    base.py, 2.7.0), so a connection that died without a word would be waited for for ever.
    """
    from google.api_core.gapic_v1 import method

    original = method.wrap_method
    if getattr(original, "limited", False):
        return

    @functools.wraps(original)
    def wrap_method(func: Any, *args: Any, **options: Any) -> Any:
        if len(args) < 2 and options.get("default_timeout") is None:
            options["default_timeout"] = CALL_SECONDS
        return original(func, *args, **options)  # type: ignore[no-untyped-call]

    wrap_method.limited = True  # type: ignore[attr-defined]
    method.wrap_method = wrap_method


def pipeline_client(region: str, project_id: str = "") -> Any:
    """Return the client of the service that runs pipeline jobs.

    The SDK's own ``PipelineJob.submit`` first asks the Resource Manager whether the bucket is the
    project's, which a rehearsal cannot answer and a deployment's own bucket need not.
    """
    from google.cloud import aiplatform_v1

    limit_calls()
    address = os.environ.get(REHEARSAL, "")
    if not address:
        host = f"{region}-aiplatform.googleapis.com"
        return aiplatform_v1.PipelineServiceClient(
            credentials=find_credentials(project_id), client_options={"api_endpoint": host}
        )
    return aiplatform_v1.PipelineServiceClient(
        transport="rest",
        credentials=_rehearsed_credentials(),
        client_options={"api_endpoint": address},
    )


def _rehearsed_credentials() -> Any:
    """Credentials in a rehearsal: the token of an account is its e-mail, the operator has none."""
    from google.auth.credentials import AnonymousCredentials
    from google.oauth2.credentials import Credentials

    account = os.environ.get(REHEARSED_ACCOUNT)
    return Credentials(token=account) if account else AnonymousCredentials()  # type: ignore[no-untyped-call]


def poll_seconds() -> float:
    """Seconds between two looks at a job; a rehearsed one is over in a few."""
    return 0.5 if in_rehearsal() else 15.0


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed a moment later."""
    import requests
    import urllib3
    from google.api_core import exceptions
    from google.api_core.retry import if_transient_error
    from google.auth.exceptions import RefreshError, TransportError

    if isinstance(error, exceptions.BadRequest):  # FailedPrecondition by gRPC is a kind of it
        return agents_are_provisioned(error)
    if isinstance(error, exceptions.TooManyRequests) and allocation_used_up(error):
        return False
    if isinstance(error, RefreshError):  # revoked credentials stay revoked
        return bool(error.retryable) or isinstance(error.__cause__, TransportError)
    kinds = (
        exceptions.BadGateway,
        exceptions.GatewayTimeout,  # and its subclass DeadlineExceeded
        requests.exceptions.Timeout,
        urllib3.exceptions.ProtocolError,
        urllib3.exceptions.TimeoutError,
        ConnectionError,
        TimeoutError,
    )
    return bool(if_transient_error(error)) or isinstance(error, kinds)


def patiently(call: Callable[[], T], may_pass: Callable[[Exception], bool] = is_transient) -> T:
    """Call something that may be called again until it succeeds, fails for good, or time is up.

    Args:
        call: the call.
        may_pass: whether the same call may succeed after such an error.

    Raises:
        Exception: what ``call`` raised, where trying again does not help or did not for
            :data:`RETRY_SECONDS`.
    """
    from google.api_core import exceptions, retry

    policy = retry.Retry(
        predicate=may_pass, initial=FIRST_PAUSE_SECONDS, maximum=15, timeout=RETRY_SECONDS
    )
    try:
        result: T = policy(call)()
    except exceptions.RetryError as error:
        raise error.cause from error
    return result
