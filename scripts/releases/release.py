"""The life of a model on an endpoint: release, roll back, undeploy, tear down.

Every step can be repeated: it uses what exists already. A release that fails before the traffic has
moved undeploys what it has deployed, and the version that served before goes on serving; after that
nothing is taken back. No version is deleted: in the registry it costs nothing, and it is evidence.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from scripts.cloud.vertex_sdk import connect, patiently
from scripts.releases.checkpoints import find_checkpoint
from scripts.releases.registry import PREVIOUS, VersionRegistry, content_alias
from scripts.releases.request import ReleaseRequest
from scripts.releases.rollout import Rollout
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import Report, report_line


@dataclasses.dataclass(frozen=True, slots=True)
class ReleaseResult:
    """The version that serves after a release.

    Attributes:
        version: its number.
        alias: its alias by content.
        deployed_model_id: its deployment on the endpoint.
        changed: whether the release had anything to do.
    """

    version: str
    alias: str
    deployed_model_id: str
    changed: bool


class Releases:
    """Releases of one model on one endpoint.

    Args:
        request: what to release, and where.
        report: prints a line of progress.

    Attributes:
        sdk: the initialised ``google.cloud.aiplatform``.
        registry: the model's versions.
    """

    def __init__(self, request: ReleaseRequest, report: Report = report_line) -> None:
        self.request, self.report = request, report
        self.sdk = connect(request.project_id, request.region)
        self.registry = VersionRegistry(self.sdk, request, report)

    def _rollout(self) -> Rollout:
        from google.api_core.exceptions import NotFound

        request = self.request
        try:
            rollout = Rollout(self.sdk.Endpoint(request.endpoint_name), request, self.report)
            rollout.deployed()  # the SDK fetches an endpoint only when somebody reads from it
        except NotFound as error:
            raise OperatorError(
                f"endpoint {request.endpoint_id} does not exist",
                hint="npx cdktf deploy sam-serving makes it",
                exit_code=CLOUD,
            ) from error
        return rollout

    def release(self, *, in_place: bool = False) -> ReleaseResult:
        """Make the version that the request describes the one that serves.

        Args:
            in_place: undeploy the old version first, where quota has no second accelerator;
                nothing serves until the new version is up.

        Raises:
            OperatorError: the release failed; what served before still serves.
        """
        self.request.check()
        checkpoint = find_checkpoint(self.request.checkpoint)
        alias = self.request.alias(checkpoint.digest, checkpoint.file_name)
        rollout = self._rollout()
        version = self.registry.find(alias)
        uploaded = version is None
        if version is None:
            version = self.registry.upload(alias, checkpoint)
        else:
            self.report(f"version {version.version_id} ({alias}) is in the registry")
        result = self._serve(rollout, version, alias, in_place=in_place)
        return dataclasses.replace(result, changed=result.changed or uploaded)

    def _serve(
        self, rollout: Rollout, version: Any, alias: str, *, in_place: bool
    ) -> ReleaseResult:
        """Deploy a version beside the current one, check it, shift traffic, undeploy the rest."""
        deployed = rollout.deployed()
        split = rollout.split()
        matching = [deployment for deployment in deployed if rollout.matches(deployment, version)]
        serving = [deployment for deployment in matching if split.get(deployment.id) == 100]
        if serving and len(deployed) == 1:
            self.registry.mark_live(version)
            self.report(f"version {version.version_id} serves already; nothing to do")
            return ReleaseResult(version.version_id, alias, serving[0].id, changed=False)
        others = [deployment for deployment in deployed if deployment not in matching]
        if in_place and others:
            self.report("undeploying the old version first: no predictions until the new one is up")
            rollout.undeploy([deployment.id for deployment in others])
            split = {}
        try:
            id_ = matching[0].id if matching else rollout.deploy(version, split)
            rollout.check(id_, rollout.split())
        except BaseException as error:
            self._take_back(rollout, version, split, error, deployed=not matching)
            if in_place and others:
                self._restore(rollout, others[0], error)
            raise
        rollout.shift({id_: 100})
        self.report(f"version {version.version_id} gets all traffic")
        try:
            rollout.undeploy([item.id for item in rollout.deployed() if item.id != id_])
            self.registry.mark_live(version)
        except Exception as error:
            raise OperatorError(
                f"version {version.version_id} serves, but tidying up after it failed: {error}",
                hint="run the same command again: it goes on there; until then an old version "
                "may be deployed beside it and bill",
                exit_code=CLOUD,
            ) from error
        return ReleaseResult(version.version_id, alias, id_, changed=True)

    def _take_back(
        self,
        rollout: Rollout,
        version: Any,
        split: dict[str, int],
        error: BaseException,
        *,
        deployed: bool,
    ) -> None:
        """Undeploy a version that failed; should that fail too, say both, and what bills."""
        if not deployed:
            return
        try:
            rollout.withdraw(version, split)
        except Exception as second:
            raise OperatorError(
                f"{error}; then version {version.version_id} could not be undeployed: {second}",
                hint="it bills: 'sam-vertex model list' shows it, and the next release removes it",
                exit_code=CLOUD,
            ) from error

    def _restore(self, rollout: Rollout, old: Any, error: BaseException) -> None:
        """Deploy the old version again after a release in its place failed."""
        self.report("deploying the old version again")
        try:
            # The name may carry its version already (types/endpoint.py, DeployedModel.model).
            name = f"{old.model.partition('@')[0]}@{old.model_version_id}"
            rollout.deploy(patiently(lambda: self.sdk.Model(name)), {})
        except Exception as second:
            raise OperatorError(
                f"{error}; then the old version could not be deployed again, so nothing serves: "
                f"{second}",
                hint="sam-vertex model rollback --in-place, or release again",
                exit_code=CLOUD,
            ) from error

    def rollback(self, *, in_place: bool = False) -> ReleaseResult:
        """Serve the version that served before the last release, by the same steps.

        Args:
            in_place: undeploy the current version first, as in a release.

        Raises:
            OperatorError: there is none, or it cannot be deployed.
        """
        version = self.registry.find(PREVIOUS)
        if version is None:
            raise OperatorError(
                "there is no previous version to go back to",
                hint="sam-vertex model list shows the versions",
            )
        self.report(f"going back to version {version.version_id}")
        return self._serve(self._rollout(), version, content_alias(version), in_place=in_place)

    def undeploy(self) -> int:
        """Undeploy everything; endpoint and versions stay. Returns how many were deployed."""
        rollout = self._rollout()
        ids = [deployment.id for deployment in rollout.deployed()]
        rollout.undeploy(ids)
        return len(ids)

    def teardown(self) -> None:
        """Undeploy everything and delete the model: nothing bills any more."""
        try:
            self.undeploy()
        except OperatorError:
            self.report("the endpoint is gone already")
        self.registry.delete_model()
