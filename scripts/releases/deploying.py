"""A deployment from the call to its end: found after a lost answer, ended by an interruption."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from scripts.cloud.vertex_sdk import is_transient, patiently, poll_seconds
from scripts.releases.uninterrupted import UninterruptedCall
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import Report


def new_deployment_id() -> str:
    """An id that we choose, so that a repeated call cannot deploy twice.

    "This value should be 1-10 characters, and valid characters are /[0-9]/" (aiplatform_v1,
    types/endpoint.py, DeployedModel.id). That a second deployment of one id is refused while the
    first is being made is UNVERIFIED; the stand-in does so.
    """
    return str(10**9 + secrets.randbelow(9 * 10**9))


class Deploying:
    """One deployment.

    Args:
        endpoint: an ``aiplatform.Endpoint``.
        id_: of the deployment, see :func:`new_deployment_id`.
        report: prints a line of progress.
        undeploy: removes it, should it be there after an interruption.
    """

    def __init__(
        self, endpoint: Any, id_: str, report: Report, undeploy: Callable[[], None]
    ) -> None:
        self._endpoint, self._id = endpoint, id_
        self._report, self._undeploy = report, undeploy

    def ended(self, begin: Callable[[], Any]) -> Any:
        """Begin a deployment and return its operation when that has ended.

        Whoever interrupts leaves none behind, nor does a look at it that fails for good. Google's
        answer names the operation, which goes on whether somebody has read the answer or not, and
        the endpoint lists a deployment only when its operation has ended. So an interruption waits
        for the answer, asks Google to cancel, waits for the end whichever that is, and undeploys
        what was made.
        """
        call = UninterruptedCall(lambda: self._begun(begin))
        try:  # one for all of it: an interruption may come at any moment
            operation = call.result()
            while not patiently(operation.done):
                time.sleep(poll_seconds())
        except BaseException:
            if call.call_off():
                self._report(
                    f"waiting for Google's answer, to cancel deployment {self._id}; "
                    "interrupted again, it goes on and bills"
                )
            begun = call.settled()
            if begun is not None:
                self._end(begun)
            raise
        return operation

    def _begun(self, begin: Callable[[], Any]) -> Any:
        """The operation; that of an earlier call where its answer was lost."""
        lost = False

        def ask() -> Any:
            nonlocal lost
            try:
                return (self._found() if lost else None) or begin()
            except Exception as error:
                if lost and not is_transient(error):  # such as: the id is in use, by ourselves
                    operation = self._found()
                    if operation is not None:
                        return operation
                lost = lost or is_transient(error)
                raise

        try:
            return patiently(ask)
        except Exception:
            if lost:
                self._report(
                    f"deployment {self._id} may have begun all the same, and bills once it is "
                    "made: 'sam-vertex model list' shows it then"
                )
            raise

    def _found(self) -> Any:
        """The operation that an earlier call has begun; ``None`` where it began none.

        While it runs nothing in it names the deployment (aiplatform_v1, types/endpoint_service.py,
        DeployModelOperationMetadata). Two that run at once cannot be told apart: none is ours then.
        """
        from google.api_core import operation
        from google.cloud.aiplatform_v1 import types

        client = self._endpoint.api_client
        request = {"name": self._endpoint.resource_name}
        running, done = [], []
        while True:
            page = client.list_operations(request)
            for listed in page.operations:
                if not listed.metadata.type_url.endswith("DeployModelOperationMetadata"):
                    continue
                if not listed.done:
                    running.append(listed)
                elif listed.HasField("response"):
                    response = types.DeployModelResponse.deserialize(listed.response.value)
                    if response.deployed_model.id == self._id:
                        done.append(listed)
            if not page.next_page_token:
                break
            request["page_token"] = page.next_page_token
        if not done and len(running) > 1:
            self._report(
                f"one of these may be deployment {self._id}, which bills once it is made: "
                + ", ".join(listed.name for listed in running)
            )
            return None
        for listed in done or running:
            self._report(f"deployment {self._id} has begun already ({listed.name})")
            return operation.from_gapic(
                listed,
                client.transport.operations_client,
                types.DeployModelResponse,
                metadata_type=types.DeployModelOperationMetadata,
            )
        return None

    def _end(self, operation: Any) -> None:
        name = operation.operation.name
        self._report(f"cancelling the deployment; until it has ended it may bill ({name})")
        try:
            operation.cancel()
        except Exception as error:  # not every operation can be cancelled; then it ends by itself
            self._report(f"it cannot be cancelled ({error}); waiting for its end")
        try:
            while not patiently(operation.done):
                time.sleep(poll_seconds())
            if operation.exception() is None:
                self._undeploy()
        except Exception as error:
            raise OperatorError(
                f"nobody knows how the deployment {name} ended, and it may bill: {error}",
                hint="'sam-vertex model list' shows it once it is there; 'sam-vertex model "
                "release' goes on with it, 'sam-vertex model undeploy' removes it",
                exit_code=CLOUD,
            ) from error
        self._report("the deployment is gone")
