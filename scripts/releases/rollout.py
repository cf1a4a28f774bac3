"""One rollout on an endpoint: deploy beside what serves, check, shift traffic, undeploy."""

from __future__ import annotations

from typing import Any

from scripts.cloud.google_errors import quota_exceeded
from scripts.cloud.vertex_sdk import CALL_SECONDS, patiently
from scripts.releases.canary import Canary, stored_check_image
from scripts.releases.deploying import Deploying, new_deployment_id
from scripts.releases.errors import release_error
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import Report

CANARY_PERCENT = 10


class Rollout:
    """The steps of a release that touch the endpoint.

    Args:
        endpoint: an ``aiplatform.Endpoint``.
        request: names machines and replicas.
        report: prints a line of progress.
    """

    def __init__(self, endpoint: Any, request: ReleaseRequest, report: Report) -> None:
        self.endpoint, self.request, self.report = endpoint, request, report

    def deployed(self) -> list[Any]:
        """The deployments on the endpoint now, of any version."""
        return list(patiently(self.endpoint.list_models))

    def split(self) -> dict[str, int]:
        """Percent of the traffic that each deployment gets now, by id."""
        return dict(self.endpoint.traffic_split or {})

    def matches(self, deployment: Any, version: Any) -> bool:
        """Whether a deployment serves this version on the machines that the request names."""
        request, resources = self.request, deployment.dedicated_resources
        machine = resources.machine_spec
        accelerator = machine.accelerator_type.name if machine.accelerator_count else ""
        targets = {spec.target for spec in resources.autoscaling_metric_specs}
        same_machine = (
            machine.machine_type == request.machine
            and accelerator == request.accelerator
            and machine.accelerator_count == (request.accelerator_count if accelerator else 0)
            and resources.min_replica_count == request.min_replicas
            and resources.max_replica_count == request.max_replicas
            and targets <= {request.target_utilization}
            and bool(resources.spot) == request.spot
            and deployment.service_account == request.service_account
        )
        return bool(
            same_machine
            and deployment.model.rpartition("/")[2].partition("@")[0] == request.model_id
            and deployment.model_version_id == version.version_id
        )

    def deploy(self, version: Any, split: dict[str, int]) -> str:
        """Deploy a version and return the deployment's id.

        It gets no traffic, or all of it where nothing serves.

        Args:
            version: of the model.
            split: the traffic now; empty where nothing serves.

        Raises:
            OperatorError: there is no quota for it, or it cannot be deployed.
        """
        request = self.request
        self.report(
            f"deploying version {version.version_id} on {request.machine} {request.accelerator}"
        )
        id_ = new_deployment_id()
        shares = {"0": 0, **split} if split else {"0": 100}
        try:
            operation = Deploying(
                self.endpoint, id_, self.report, undeploy=lambda: self.undeploy([id_])
            ).ended(
                lambda: self.endpoint.api_client.deploy_model(
                    endpoint=self.endpoint.resource_name,
                    deployed_model=self._deployed_model(version, id_),
                    traffic_split=shares,
                    timeout=CALL_SECONDS,
                )
            )
            return str(operation.result().deployed_model.id)
        except OperatorError:
            raise
        except Exception as error:
            raise _deployment_error(error) from error

    def _deployed_model(self, version: Any, id_: str) -> Any:
        from google.cloud.aiplatform_v1 import types

        request = self.request
        metrics = ["cpu/utilization"]
        machine = types.MachineSpec(machine_type=request.machine)
        if request.accelerator:
            machine.accelerator_type = types.AcceleratorType[request.accelerator]
            machine.accelerator_count = request.accelerator_count
            metrics.append("accelerator/duty_cycle")
        return types.DeployedModel(
            id=id_,
            model=version.versioned_resource_name,
            display_name=f"{request.model_id}-v{version.version_id}",
            service_account=request.service_account,
            dedicated_resources=types.DedicatedResources(
                machine_spec=machine,
                min_replica_count=request.min_replicas,
                max_replica_count=request.max_replicas,
                spot=request.spot,
                autoscaling_metric_specs=[
                    types.AutoscalingMetricSpec(
                        metric_name=f"aiplatform.googleapis.com/prediction/online/{metric}",
                        target=request.target_utilization,
                    )
                    for metric in metrics
                ],
            ),
        )

    def check(self, id_: str, split: dict[str, int]) -> None:
        """Ask the new deployment what users ask; it gets a small share of the traffic meanwhile.

        A proxy that has just learned of a deployment answers 404 or 503 for a while, and the old
        version may answer 429. So only a wrong answer of the new one, or refusals for longer than
        :data:`PATIENCE_SECONDS`, fail the check.

        Raises:
            OperatorError: it answers wrongly, or never.
        """
        if split.get(id_, 0) < CANARY_PERCENT:
            live = max(split, key=lambda key: split[key])
            self.shift({live: 100 - CANARY_PERCENT, id_: CANARY_PERCENT})
        canary = Canary(self.endpoint, id_, accelerator=bool(self.request.accelerator))
        folders = self.request.serving.get("read_prefixes", "")
        with stored_check_image(folders, self.report) as image_uri:
            self.report(f"the new version answers: {canary.ask(image_uri)}")

    def shift(self, split: dict[str, int]) -> None:
        """Set the percent of the traffic that each deployment gets."""
        patiently(lambda: self.endpoint.update(traffic_split=split))

    def undeploy(self, ids: list[str]) -> None:
        """Undeploy; those with traffic last, so that the shares of the rest always add up."""
        from google.api_core.exceptions import NotFound

        split = self.split()
        for id_ in sorted(ids, key=lambda id_: split.get(id_, 0)):
            try:
                patiently(lambda id_=id_: self.endpoint.undeploy(id_))  # type: ignore[misc]
            except NotFound:  # an earlier try succeeded, though its answer was lost
                self.report(f"{id_} is gone already")
                continue
            self.report(f"undeployed {id_}")

    def withdraw(self, version: Any, split: dict[str, int]) -> None:
        """Remove a version that failed its check, and give its traffic back."""
        self.report("withdrawing the new version")
        deployed = self.deployed()
        known = {deployment.id for deployment in deployed}
        ours = [
            deployment.id
            for deployment in deployed
            if self.matches(deployment, version) and deployment.id not in split
        ]
        kept = {id_: share for id_, share in split.items() if id_ in known and share}
        if kept and ours:
            self.shift(kept)
        self.undeploy(ours)


def _deployment_error(error: Exception) -> OperatorError:
    if quota_exceeded(error):
        return OperatorError(
            f"no quota for a second accelerator: {error}",
            hint="ask for more serving quota, or release with --in-place (an outage)",
            exit_code=CLOUD,
        )
    return release_error("the version cannot be deployed", error)
