"""The two servers that answer a request: any model server by its address, and the endpoint."""

from __future__ import annotations

import functools
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
# For more than this the SDK makes a new connection a call (google-cloud-aiplatform 2.7.0,
# models.py, Endpoint.predict: a longer timeout than google.auth's default mounts a new adapter).
PROMPT_SECONDS = 120.0


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


class DeployedEndpoint:
    """The endpoint of a deployment, asked by the SDK; what it costs to find it is paid once.

    Args:
        outputs: outputs of ``cdktf deploy``, which name the endpoint.

    Raises:
        OperatorError: there is no endpoint.
    """

    def __init__(self, outputs: Path) -> None:
        self._deployment = Deployment.from_outputs(outputs)
        if not self._deployment.endpoint_resource_name:
            raise OperatorError(f"{outputs} holds no endpoint", hint="npx cdktf deploy sam-serving")

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the reply.

        Raises:
            OperatorError: the request is too large for the endpoint, or it refuses.
        """
        import requests
        from google.api_core.exceptions import GoogleAPICallError

        size, limit = len(json.dumps(body)), self._deployment.reply_limit_bytes
        if limit and size > limit:
            raise OperatorError(
                f"the request has {size} bytes, this endpoint takes {limit}",
                hint="upload the image to the bucket and give its gs:// URI, or scale it down",
            )
        seconds = _patience(body)
        try:
            endpoint = self._endpoint
            reply = patiently(
                lambda: endpoint.predict(
                    instances=body["instances"],
                    parameters=body["parameters"],
                    timeout=seconds,  # without one the SDK waits for ever
                ),
                is_overload,
            )
        except requests.exceptions.Timeout as error:
            raise OperatorError(
                f"the endpoint has not answered for {seconds:g} s",
                hint="'sam-vertex model list' shows what is deployed; a smaller image takes less "
                "time",
                exit_code=CLOUD,
            ) from error
        except (GoogleAPICallError, ValueError) as error:
            raise _refusal(error) from error
        answer = {"predictions": reply.predictions, "deployed_model_id": reply.deployed_model_id}
        # What the server says of itself: checkpoint, device, precision. A batch's or a foreign
        # container's reply may have none.
        told = getattr(reply, "metadata", None)
        return {**answer, "metadata": dict(told)} if told else answer

    @functools.cached_property
    def _endpoint(self) -> Any:
        sdk = connect(self._deployment.project_id, self._deployment.region)
        return patiently(lambda: sdk.Endpoint(self._deployment.endpoint_resource_name))


def _patience(body: dict[str, Any]) -> float:
    """Seconds to wait for a reply: a grid of prompts takes minutes where there is no GPU."""
    prompted = all("input_point" in one or "input_box" in one for one in body["instances"])
    return min(PROMPT_SECONDS if prompted else TIMEOUT_SECONDS, TIMEOUT_SECONDS)


def _refusal(error: Exception) -> OperatorError:
    explained = explain_google_error(error)
    if explained is not None:
        return explained
    callers_fault = is_callers_fault(error)
    return OperatorError(
        f"the endpoint refuses: {innermost_message(str(error))}",
        hint="the message says what to change"
        if callers_fault
        else "'sam-vertex model list' shows what is deployed",
        exit_code=CALLER if callers_fault else CLOUD,
    )
