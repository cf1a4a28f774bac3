"""One rollout on an endpoint: deploy beside what serves, check, shift traffic, undeploy."""

from __future__ import annotations

import base64
import io
from typing import Any

from scripts.cloud.vertex_sdk import patiently, quota_exceeded
from scripts.releases.errors import release_error
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import Report

CANARY_PERCENT = 10
CANARY_REQUESTS = 300


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
        gpu = bool(request.accelerator)
        before = {deployment.id for deployment in self.deployed()}
        self.report(
            f"deploying version {version.version_id} on {request.machine} {request.accelerator}"
        )
        shares = {"0": 0, **split} if split else {"0": 100}
        try:
            self.endpoint.deploy(
                version,
                deployed_model_display_name=f"{request.model_id}-v{version.version_id}",
                traffic_split=shares,
                machine_type=request.machine,
                accelerator_type=request.accelerator or None,
                accelerator_count=request.accelerator_count if gpu else None,
                min_replica_count=request.min_replicas,
                max_replica_count=request.max_replicas,
                service_account=request.service_account or None,
                autoscaling_target_cpu_utilization=request.target_utilization,
                autoscaling_target_accelerator_duty_cycle=request.target_utilization
                if gpu
                else None,
                spot=request.spot,
            )
        except Exception as error:
            if quota_exceeded(error):
                raise OperatorError(
                    f"no quota for a second accelerator: {error}",
                    hint="ask for more serving quota, or release with --in-place (an outage)",
                    exit_code=CLOUD,
                ) from error
            raise release_error("the version cannot be deployed", error) from error
        after = {deployment.id for deployment in self.deployed()}
        (id_,) = after - before
        return str(id_)

    def check(self, id_: str, split: dict[str, int]) -> None:
        """Ask the new deployment for a mask; it gets a small share of the traffic meanwhile.

        Raises:
            OperatorError: it fails, answers without a mask, or never answers.
        """
        if split.get(id_, 0) < CANARY_PERCENT:
            live = max(split, key=lambda key: split[key])
            self.shift({live: 100 - CANARY_PERCENT, id_: CANARY_PERCENT})
        instance = {"file_path": "check.png", "image": _check_image(), "input_point": [32, 32]}
        for _ in range(CANARY_REQUESTS):
            try:
                reply = patiently(lambda: self.endpoint.predict(instances=[instance]))
            except Exception as error:
                raise release_error("the check prediction failed", error) from error
            if reply.deployed_model_id == id_:
                masks = reply.predictions[0].get("masks") if reply.predictions else None
                if not masks or list(map(int, masks[0]["size"])) != [64, 64]:
                    raise OperatorError(
                        f"the check prediction gave no mask: {str(reply.predictions)[:200]}",
                        hint="the old version serves still",
                        exit_code=CLOUD,
                    )
                self.report("the new version answers a prediction")
                return
        raise OperatorError(
            f"none of {CANARY_REQUESTS} requests reached the new version",
            hint="run the same command again",
            exit_code=CLOUD,
        )

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


def _check_image() -> str:
    """A disc on a plain ground, 64 x 64, as base64 of a PNG."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (64, 64), (230, 230, 225))
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill=(180, 40, 40))
    packed = io.BytesIO()
    image.save(packed, "PNG")
    return base64.b64encode(packed.getvalue()).decode("ascii")
