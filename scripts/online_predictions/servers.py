"""The two servers that answer a request: any model server by its address, and the endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from scripts.cloud.deployment import Deployment
from scripts.cloud.google_errors import explain_google_error
from scripts.cloud.prediction_errors import is_callers_fault, is_overload
from scripts.cloud.vertex_sdk import connect, patiently
from scripts.online_predictions.replies import check_reply, innermost_message
from scripts.terminal.errors import CALLER, CLOUD, OperatorError

TIMEOUT_SECONDS = 600.0  # a dedicated endpoint waits no longer, unless it was made otherwise


def ask_server(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a request to a model server's address and return the reply.

    Raises:
        OperatorError: the server does not answer, or refuses the request.
    """
    import requests

    url = predict_address(url)
    try:
        reply = requests.post(url, json=body, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise OperatorError(
            f"{url} does not answer ({type(error).__name__})",
            hint="start a server here with 'sam-vertex serve', or use --endpoint",
            exit_code=CLOUD,
        ) from error
    return check_reply(reply.status_code, reply.text)


def predict_address(url: str) -> str:
    """The address of predictions that an operator's ``--url`` means.

    A host alone stands for ``http`` and the route ``/predict``, as a container has it by default.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return urlunsplit(parts._replace(path=parts.path if parts.path.strip("/") else "/predict"))


def ask_endpoint(outputs: Path, body: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the deployed endpoint by the SDK and return the reply.

    Args:
        outputs: outputs of ``cdktf deploy``, which name the endpoint.
        body: the request.

    Raises:
        OperatorError: there is no endpoint, the request is too large for it, or it refuses.
    """
    import requests
    from google.api_core.exceptions import GoogleAPICallError

    deployment = Deployment.from_outputs(outputs)
    if not deployment.endpoint_resource_name:
        raise OperatorError(f"{outputs} holds no endpoint", hint="npx cdktf deploy sam-serving")
    size, limit = len(json.dumps(body)), deployment.reply_limit_bytes
    if limit and size > limit:
        raise OperatorError(
            f"the request has {size} bytes, this endpoint takes {limit}",
            hint="upload the image to the bucket and give its gs:// URI, or scale it down",
        )
    sdk = connect(deployment.project_id, deployment.region)
    try:
        endpoint = patiently(lambda: sdk.Endpoint(deployment.endpoint_resource_name))
        reply = patiently(
            lambda: endpoint.predict(
                instances=body["instances"],
                parameters=body["parameters"],
                timeout=TIMEOUT_SECONDS,  # without one the SDK waits for ever
            ),
            is_overload,
        )
    except requests.exceptions.Timeout as error:
        raise OperatorError(
            f"the endpoint has not answered for {TIMEOUT_SECONDS:g} s",
            hint="'sam-vertex model list' shows what is deployed; a smaller image takes less time",
            exit_code=CLOUD,
        ) from error
    except (GoogleAPICallError, ValueError) as error:
        explained = explain_google_error(error)
        if explained is not None:
            raise explained from error
        callers_fault = is_callers_fault(error)
        raise OperatorError(
            f"the endpoint refuses: {innermost_message(str(error))}",
            hint="the message says what to change"
            if callers_fault
            else "'sam-vertex model list' shows what is deployed",
            exit_code=CALLER if callers_fault else CLOUD,
        ) from error
    answer = {"predictions": reply.predictions, "deployed_model_id": reply.deployed_model_id}
    # What the server says of itself: checkpoint, device, precision. A batch's or a foreign
    # container's reply may have none.
    told = getattr(reply, "metadata", None)
    return {**answer, "metadata": dict(told)} if told else answer
