"""One rollout on an endpoint: deploy beside what serves, try, shift traffic, undeploy."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

from scripts.cloud.vertex_sdk import patiently, quota_exceeded
from scripts.releases.request import ReleasePlan
from scripts.terminal.errors import CLOUD, OperatorError

CANARY_PERCENT = 10
CANARY_REQUESTS = 300
Tell = Callable[[str], None]


class Rollout:
    """The steps of a release that touch the endpoint.

    Args:
        endpoint: an ``aiplatform.Endpoint``.
        plan: machines and replicas.
        tell: takes a line of progress.
    """

    def __init__(self, endpoint: Any, plan: ReleasePlan, tell: Tell) -> None:
        self.endpoint, self.plan, self.tell = endpoint, plan, tell

    def deployed(self) -> list[Any]:
        """What is deployed now."""
        return list(patiently(self.endpoint.list_models))

    def split(self) -> dict[str, int]:
        """The traffic now, by deployed model."""
        return dict(self.endpoint.traffic_split or {})

    def is_of(self, deployed: Any, model: Any) -> bool:
        """Whether a deployment is of this version, on the machines that the plan wants."""
        plan, resources = self.plan, deployed.dedicated_resources
        machine = resources.machine_spec
        accelerator = machine.accelerator_type.name if machine.accelerator_count else ""
        targets = {spec.target for spec in resources.autoscaling_metric_specs}
        same_machine = (
            machine.machine_type == plan.machine
            and accelerator == plan.accelerator
            and machine.accelerator_count == (plan.accelerator_count if accelerator else 0)
            and resources.min_replica_count == plan.min_replicas
            and resources.max_replica_count == plan.max_replicas
            and targets <= {plan.target_utilization}
            and bool(resources.spot) == plan.spot
            and deployed.service_account == plan.service_account
        )
        return bool(
            same_machine
            and deployed.model.rpartition("/")[2].partition("@")[0] == plan.model_id
            and deployed.model_version_id == model.version_id
        )

    def deploy(self, model: Any, split: dict[str, int]) -> str:
        """Deploy a version without traffic, or with all of it where nothing serves; its id."""
        plan = self.plan
        gpu = bool(plan.accelerator)
        before = {one.id for one in self.deployed()}
        self.tell(f"deploying version {model.version_id} on {plan.machine} {plan.accelerator}")
        shares = {"0": 0, **split} if split else {"0": 100}
        try:
            self.endpoint.deploy(
                model,
                deployed_model_display_name=f"{plan.model_id}-v{model.version_id}",
                traffic_split=shares,
                machine_type=plan.machine,
                accelerator_type=plan.accelerator or None,
                accelerator_count=plan.accelerator_count if gpu else None,
                min_replica_count=plan.min_replicas,
                max_replica_count=plan.max_replicas,
                service_account=plan.service_account or None,
                autoscaling_target_cpu_utilization=plan.target_utilization,
                autoscaling_target_accelerator_duty_cycle=plan.target_utilization if gpu else None,
                spot=plan.spot,
            )
        except Exception as error:
            if quota_exceeded(error):
                raise OperatorError(
                    f"no quota for a second accelerator: {error}",
                    hint="ask for more serving quota, or release with --in-place (an outage)",
                    exit_code=CLOUD,
                ) from error
            raise failed("the version cannot be deployed", error) from error
        after = {one.id for one in self.deployed()}
        (id_,) = after - before
        return str(id_)

    def check(self, id_: str, split: dict[str, int]) -> None:
        """Ask the new deployment for a mask; it gets a small share of the traffic meanwhile."""
        if split.get(id_, 0) < CANARY_PERCENT:
            live = max(split, key=lambda key: split[key])
            self.shift({live: 100 - CANARY_PERCENT, id_: CANARY_PERCENT})
        instance = {"file_path": "check.png", "image": _check_image(), "input_point": [32, 32]}
        for _ in range(CANARY_REQUESTS):
            try:
                reply = patiently(lambda: self.endpoint.predict(instances=[instance]))
            except Exception as error:
                raise failed("the check prediction failed", error) from error
            if reply.deployed_model_id == id_:
                masks = reply.predictions[0].get("masks") if reply.predictions else None
                if not masks or list(map(int, masks[0]["size"])) != [64, 64]:
                    raise OperatorError(
                        f"the check prediction gave no mask: {str(reply.predictions)[:200]}",
                        hint="the old version serves still",
                        exit_code=CLOUD,
                    )
                self.tell("the new version answers a prediction")
                return
        raise OperatorError(
            f"none of {CANARY_REQUESTS} requests reached the new version",
            hint="run the same command again",
            exit_code=CLOUD,
        )

    def shift(self, split: dict[str, int]) -> None:
        """Move the traffic."""
        patiently(lambda: self.endpoint.update(traffic_split=split))

    def undeploy(self, ids: list[str]) -> None:
        """Undeploy; those with traffic last, so that what is left always adds up."""
        from google.api_core.exceptions import NotFound

        split = self.split()
        for id_ in sorted(ids, key=lambda one: split.get(one, 0)):
            try:
                patiently(lambda id_=id_: self.endpoint.undeploy(id_))  # type: ignore[misc]
            except NotFound:  # an earlier try got through, though its answer did not
                self.tell(f"{id_} is gone already")
                continue
            self.tell(f"undeployed {id_}")

    def withdraw(self, model: Any, split: dict[str, int]) -> None:
        """Remove a deployment that did not work out, and give the traffic back."""
        self.tell("withdrawing the new version")
        deployed = self.deployed()
        known = {one.id for one in deployed}
        ours = [one.id for one in deployed if self.is_of(one, model) and one.id not in split]
        kept = {id_: share for id_, share in split.items() if id_ in known and share}
        if kept and ours:
            self.shift(kept)
        self.undeploy(ours)


def failed(problem: str, error: Exception) -> OperatorError:
    """What went wrong on the cloud's side of a release."""
    return OperatorError(
        f"{problem}: {error}",
        hint="what served before serves still; mend it and run the same command again",
        exit_code=CLOUD,
    )


def _check_image() -> str:
    """A disc on a plain ground, 64 x 64, as base64 of a PNG."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (64, 64), (230, 230, 225))
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill=(180, 40, 40))
    packed = io.BytesIO()
    image.save(packed, "PNG")
    return base64.b64encode(packed.getvalue()).decode("ascii")
