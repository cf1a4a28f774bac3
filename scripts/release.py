"""The life of a model on an endpoint: release, roll back, undeploy, tear down.

Every step can be repeated: what is there already is found and used. What an own, failed step has
made is removed again, and the version that served before goes on serving.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

from scripts.console import CLOUD, OperatorError
from scripts.prices import hourly
from scripts.release_plan import ReleasePlan, StoredCheckpoint, find_checkpoint
from scripts.vertex import connect, patiently, quota_exceeded

LIVE, PREVIOUS = "live", "previous"
CANARY_PERCENT = 10
CANARY_REQUESTS = 300
_VERSION_TEXT = 900  # characters of a version's description that are certainly kept
Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Released:
    """What a release came to.

    Attributes:
        version: of the model.
        alias: its alias by content.
        deployed_model_id: its deployment.
        changed: whether anything had to be done.
    """

    version: str
    alias: str
    deployed_model_id: str
    changed: bool


class Releases:
    """Releases of one model on one endpoint.

    Args:
        plan: what to release, and where.
        tell: takes a line of progress.
    """

    def __init__(self, plan: ReleasePlan, tell: Tell) -> None:
        self.plan, self.tell = plan, tell
        self._sdk = connect(plan.project_id, plan.region)

    def _endpoint(self) -> Any:
        from google.api_core.exceptions import NotFound

        try:
            return patiently(lambda: self._sdk.Endpoint(self.plan.endpoint_name))
        except NotFound as error:
            raise OperatorError(
                f"endpoint {self.plan.endpoint_id} does not exist",
                hint="cdktf deploy sam-serving makes it",
                exit_code=CLOUD,
            ) from error

    def _version(self, alias: str) -> Any | None:
        """The version with an alias, or ``None``."""
        from google.api_core.exceptions import NotFound

        try:
            return patiently(lambda: self._sdk.Model(f"{self.plan.model_name}@{alias}"))
        except NotFound:
            return None

    def versions(self) -> list[Any]:
        """All versions, oldest first; none where there is no model yet."""
        from google.api_core.exceptions import NotFound

        registry = self._sdk.models.ModelRegistry(self.plan.model_name)
        try:
            found = list(patiently(registry.list_versions))
        except NotFound:
            return []
        return sorted(found, key=lambda one: int(one.version_id))

    def release(self, *, in_place: bool = False) -> Released:
        """Make the plan's version the one that serves.

        Args:
            in_place: undeploy the old one first, where quota has no second accelerator; nothing
                serves until the new one is up.

        Raises:
            OperatorError: it cannot be released; what served before serves still.
        """
        self.plan.check()
        checkpoint = find_checkpoint(self.plan.checkpoint)
        alias = self.plan.alias(checkpoint.digest, checkpoint.file_name)
        endpoint = self._endpoint()
        model = self._version(alias)
        uploaded = model is None
        if model is None:
            model = self._upload(alias, checkpoint)
        else:
            self.tell(f"version {model.version_id} ({alias}) is in the registry")
        try:
            released = self._serve(endpoint, model, alias, in_place=in_place)
        except BaseException:
            if uploaded:
                self._delete_version(model)
            raise
        return dataclasses.replace(released, changed=released.changed or uploaded)

    def _upload(self, alias: str, checkpoint: StoredCheckpoint) -> Any:
        plan = self.plan
        first = not self.versions()
        about = {
            "image": plan.image_digest,
            "checkpoint": checkpoint.file_name,
            "checkpoint_digest": checkpoint.digest,
            "serving": plan.serving,
        }
        self.tell(f"uploading {checkpoint.file_name} with {plan.image_digest[:19]} as {alias}")
        where = {"model_id": plan.model_id} if first else {"parent_model": plan.model_name}
        return self._asking(
            "the model cannot be uploaded",
            lambda: self._sdk.Model.upload(
                **where,
                display_name=plan.model_id,
                serving_container_image_uri=plan.image,
                artifact_uri=checkpoint.folder + "/",
                serving_container_predict_route="/predict",
                serving_container_health_route="/health",
                serving_container_ports=[8080],
                serving_container_environment_variables=plan.environment(checkpoint.file_name),
                is_default_version=first,
                version_aliases=[alias],
                version_description=json.dumps(about)[:_VERSION_TEXT],
                labels={"app": "sam-vertex"},
                encryption_spec_key_name=plan.kms_key or None,
            ),
        )

    def _serve(self, endpoint: Any, model: Any, alias: str, *, in_place: bool) -> Released:
        """Deploy a version beside the current one, check it, shift traffic, undeploy the rest."""
        deployed = patiently(endpoint.list_models)
        split = dict(endpoint.traffic_split or {})
        mine = [one for one in deployed if self._is(one, model)]
        serving = [one for one in mine if split.get(one.id) == 100]
        if serving and len(deployed) == 1:
            self._mark(model)
            self._record(serving[0].id)
            self.tell(f"version {model.version_id} serves already; nothing to do")
            return Released(model.version_id, alias, serving[0].id, changed=False)
        others = [one for one in deployed if one not in mine]
        if in_place and others:
            self.tell("undeploying the old version first: no predictions until the new one is up")
            self._undeploy(endpoint, [one.id for one in others])
            split = {}
        fresh = not mine
        try:
            id_ = mine[0].id if mine else self._deploy(endpoint, model, split)
            self._check(endpoint, id_, dict(endpoint.traffic_split or {}))
        except BaseException:
            if fresh:
                self._withdraw(endpoint, model, split)
            if in_place and others:
                self.tell("deploying the old version again")
                old = self._sdk.Model(f"{others[0].model}@{others[0].model_version_id}")
                self._deploy(endpoint, old, {})
            raise
        self._shift(endpoint, {id_: 100})
        self.tell(f"version {model.version_id} gets all traffic")
        current = patiently(endpoint.list_models)
        self._undeploy(endpoint, [one.id for one in current if one.id != id_])
        self._mark(model)
        self._record(id_)
        return Released(model.version_id, alias, id_, changed=True)

    def _is(self, deployed: Any, model: Any) -> bool:
        """Whether a deployment is of this version, on the machines that the plan wants."""
        resources = deployed.dedicated_resources
        machine = resources.machine_spec
        same_machine = (
            machine.machine_type == self.plan.machine
            and (machine.accelerator_type.name if machine.accelerator_type else "")
            in ((self.plan.accelerator or "ACCELERATOR_TYPE_UNSPECIFIED"), self.plan.accelerator)
            and resources.min_replica_count == self.plan.min_replicas
            and resources.max_replica_count == self.plan.max_replicas
            and bool(resources.spot) == self.plan.spot
        )
        return bool(
            same_machine
            and deployed.model.rpartition("/")[2].partition("@")[0] == self.plan.model_id
            and deployed.model_version_id == model.version_id
        )

    def _deploy(self, endpoint: Any, model: Any, split: dict[str, int]) -> str:
        """Deploy a version without traffic, or with all of it where nothing serves; its id."""
        plan = self.plan
        gpu = bool(plan.accelerator)
        before = {one.id for one in patiently(endpoint.list_models)}
        self.tell(f"deploying version {model.version_id} on {plan.machine} {plan.accelerator}")
        shares = {"0": 0, **split} if split else {"0": 100}
        try:
            endpoint.deploy(
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
            raise self._failed("the version cannot be deployed", error) from error
        after = {one.id for one in patiently(endpoint.list_models)}
        (id_,) = after - before
        return str(id_)

    def _check(self, endpoint: Any, id_: str, split: dict[str, int]) -> None:
        """Ask the new deployment for a mask; it gets a small share of the traffic meanwhile."""
        if split.get(id_, 0) < CANARY_PERCENT:
            live = max(split, key=lambda key: split[key])
            self._shift(endpoint, {live: 100 - CANARY_PERCENT, id_: CANARY_PERCENT})
        instance = {"file_path": "check.png", "image": _check_image(), "input_point": [32, 32]}
        for _ in range(CANARY_REQUESTS):
            try:
                reply = patiently(lambda: endpoint.predict(instances=[instance]))
            except Exception as error:
                raise self._failed("the check prediction failed", error) from error
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

    def _shift(self, endpoint: Any, split: dict[str, int]) -> None:
        patiently(lambda: endpoint.update(traffic_split=split))

    def _undeploy(self, endpoint: Any, ids: list[str]) -> None:
        """Undeploy; those with traffic last, so that what is left always adds up."""
        split = dict(endpoint.traffic_split or {})
        for id_ in sorted(ids, key=lambda one: split.get(one, 0)):
            patiently(lambda id_=id_: endpoint.undeploy(id_))  # type: ignore[misc]
            self.tell(f"undeployed {id_}")

    def _withdraw(self, endpoint: Any, model: Any, split: dict[str, int]) -> None:
        """Remove a deployment that did not work out, and give the traffic back."""
        self.tell("withdrawing the new version")
        deployed = patiently(endpoint.list_models)
        known = {one.id for one in deployed}
        ours = [one.id for one in deployed if self._is(one, model) and one.id not in split]
        kept = {id_: share for id_, share in split.items() if id_ in known and share}
        if kept and ours:
            self._shift(endpoint, kept)
        self._undeploy(endpoint, ours)

    def _mark(self, model: Any) -> None:
        """Move the aliases: this version is live, the one that was is the previous."""
        registry = self._sdk.models.ModelRegistry(self.plan.model_name)
        live = self._version(LIVE)
        if live is not None and live.version_id == model.version_id:
            return
        if live is not None:
            patiently(lambda: registry.add_version_aliases([PREVIOUS], live.version_id))
        patiently(lambda: registry.add_version_aliases([LIVE, "default"], model.version_id))

    def _delete_version(self, model: Any) -> None:
        self.tell(f"removing version {model.version_id} from the registry")
        versions = self.versions()
        if [one.version_id for one in versions] == [model.version_id]:
            patiently(model.delete)
        else:
            registry = self._sdk.models.ModelRegistry(self.plan.model_name)
            patiently(lambda: registry.delete_version(model.version_id))

    def _records(self) -> Any:
        from pipeline.storage import open_folder

        return open_folder(f"gs://{self.plan.bucket_name}/serving/{self.plan.endpoint_id}")

    def _record(self, deployed_model_id: str) -> None:
        """Note what serves where Terraform reads it: ``<epoch>-<deployed model>``."""
        folder = self._records()
        name = f"{self.plan.epoch}-{deployed_model_id}"
        earlier = [file.name for file in folder.files()]
        if name not in earlier:
            folder.write_bytes(name, b"{}\n", "application/json")
        for other in earlier:
            if other != name:
                folder.delete(other)

    def rollback(self) -> Released:
        """Serve the version that served before the last release, by the same path."""
        model = self._version(PREVIOUS)
        if model is None:
            raise OperatorError(
                "there is no previous version to go back to",
                hint="sam-vertex model list shows the versions",
            )
        self.tell(f"going back to version {model.version_id}")
        alias = next((one for one in model.version_aliases if one.startswith("r-")), "")
        return self._serve(self._endpoint(), model, alias, in_place=False)

    def undeploy(self) -> int:
        """Undeploy everything; endpoint and versions stay. Returns how many there were."""
        endpoint = self._endpoint()
        ids = [one.id for one in patiently(endpoint.list_models)]
        self._undeploy(endpoint, ids)
        return len(ids)

    def teardown(self) -> None:
        """Undeploy everything and delete the model and its records: nothing is left billing."""
        from google.api_core.exceptions import NotFound

        try:
            self.undeploy()
        except OperatorError:
            self.tell("the endpoint is gone already")
        try:
            patiently(lambda: self._sdk.Model(self.plan.model_name).delete())
            self.tell(f"deleted model {self.plan.model_id}")
        except NotFound:
            self.tell("there is no model")
        folder = self._records()
        for file in list(folder.files()):
            folder.delete(file.name)

    def listing(self) -> list[dict[str, Any]]:
        """Every version with what it is made of, its traffic, and what it costs an hour."""
        from google.api_core.exceptions import NotFound

        deployed: list[Any] = []
        split: dict[str, int] = {}
        try:
            endpoint = patiently(lambda: self._sdk.Endpoint(self.plan.endpoint_name))
            deployed, split = patiently(endpoint.list_models), dict(endpoint.traffic_split or {})
        except NotFound:
            self.tell(f"endpoint {self.plan.endpoint_id} does not exist")
        rows = []
        for version in self.versions():
            here = [one for one in deployed if one.model_version_id == version.version_id]
            prices = [_price(one) for one in here]
            rows.append(
                {
                    "version": version.version_id,
                    "aliases": list(version.version_aliases),
                    **_about(version.version_description),
                    "created": str(version.version_create_time),
                    "deployed_model_ids": [one.id for one in here],
                    "traffic_percent": sum(split.get(one.id, 0) for one in here),
                    "usd_an_hour": None if None in prices else round(sum(map(_number, prices)), 4),
                }
            )
        return rows

    def _asking(self, problem: str, call: Callable[[], Any]) -> Any:
        try:
            return patiently(call)
        except Exception as error:
            raise self._failed(problem, error) from error

    @staticmethod
    def _failed(problem: str, error: Exception) -> OperatorError:
        return OperatorError(
            f"{problem}: {error}",
            hint="what served before serves still; mend it and run the same command again",
            exit_code=CLOUD,
        )


def _number(price: float | None) -> float:
    return price or 0.0


def _price(deployed: Any) -> float | None:
    resources = deployed.dedicated_resources
    machine = resources.machine_spec
    kind = machine.accelerator_type.name if machine.accelerator_type else ""
    if kind == "ACCELERATOR_TYPE_UNSPECIFIED":
        kind = ""
    return hourly(
        machine.machine_type, kind, machine.accelerator_count, resources.min_replica_count
    )


def _about(description: str) -> dict[str, str]:
    try:
        about = json.loads(description or "{}")
    except ValueError:
        about = {}
    keys = ("image", "checkpoint", "checkpoint_digest")
    return {key: str(about.get(key, "")) for key in keys}


def _check_image() -> str:
    """A disc on a plain ground, 64 x 64, as base64 of a PNG."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (64, 64), (230, 230, 225))
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill=(180, 40, 40))
    packed = io.BytesIO()
    image.save(packed, "PNG")
    return base64.b64encode(packed.getvalue()).decode("ascii")
