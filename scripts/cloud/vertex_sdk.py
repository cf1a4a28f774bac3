"""The Vertex AI SDK, pointed at a region of Google Cloud or at a rehearsal."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

from scripts.terminal.errors import CLOUD, OperatorError

REHEARSAL = "SAM_REHEARSAL_VERTEX"
RETRY_SECONDS = 120.0
T = TypeVar("T")


def in_rehearsal() -> bool:
    """Whether this shell is pointed at a rehearsal."""
    return bool(os.environ.get(REHEARSAL))


def connect(project_id: str, region: str) -> Any:
    """Return the initialised ``google.cloud.aiplatform``.

    In a rehearsal (``SAM_REHEARSAL_VERTEX`` names the stand-in) it talks REST to loopback without
    credentials; everywhere else it finds the operator's own.

    Raises:
        OperatorError: no credentials, or a rehearsal that is not on this machine.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import aiplatform

    # The SDK tells every step of its own; ours are told by the command.
    for name in logging.root.manager.loggerDict:
        if name.startswith("google.cloud.aiplatform"):
            logging.getLogger(name).setLevel(logging.WARNING)
    address = os.environ.get(REHEARSAL, "")
    if not address:
        try:
            aiplatform.init(project=project_id, location=region)
        except DefaultCredentialsError as error:
            raise OperatorError(
                "no Google Cloud credentials on this machine",
                hint="gcloud auth application-default login, or rehearse: "
                "sam-vertex rehearsal start",
                exit_code=CLOUD,
            ) from error
        return aiplatform
    if not address.startswith("http://127.0.0.1:"):
        raise OperatorError(f"{REHEARSAL}={address} is not on this machine", hint="unset it")
    aiplatform.init(
        project=project_id,
        location=region,
        credentials=AnonymousCredentials(),
        api_endpoint=address,
        api_transport="rest",
    )
    return aiplatform


def pipeline_client(region: str) -> Any:
    """The service that pipeline jobs are submitted to.

    The SDK's own ``PipelineJob.submit`` first asks the Resource Manager whether the bucket is the
    project's, which a rehearsal cannot answer and a deployment's own bucket need not.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform_v1

    address = os.environ.get(REHEARSAL, "")
    if not address:
        host = f"{region}-aiplatform.googleapis.com"
        return aiplatform_v1.PipelineServiceClient(client_options={"api_endpoint": host})
    return aiplatform_v1.PipelineServiceClient(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": address},
    )


def patiently(call: Callable[[], T]) -> T:
    """Call something that may be called again, through 429, 503 and dropped connections."""
    from google.api_core import exceptions, retry
    from requests.exceptions import ConnectionError as Dropped

    worth = retry.if_exception_type(
        exceptions.ServiceUnavailable, exceptions.TooManyRequests, Dropped, ConnectionError
    )
    patient = retry.Retry(predicate=worth, initial=0.5, maximum=15, timeout=RETRY_SECONDS)
    result: T = patient(call)()
    return result


def quota_exceeded(error: Exception) -> bool:
    """Whether an error says that there are no more accelerators to be had."""
    text = str(error).lower()
    return "quota" in text and "exceed" in text
