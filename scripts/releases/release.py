"""The life of a model on an endpoint: release, roll back, undeploy, tear down.

Every step can be repeated: what is there already is found and used. What an own, failed step has
made is removed again, and the version that served before goes on serving.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from scripts.cloud.vertex_sdk import connect, patiently
from scripts.releases.request import ReleasePlan, StoredCheckpoint, find_checkpoint
from scripts.releases.rollout import Rollout, Tell, failed
from scripts.terminal.errors import CLOUD, OperatorError

LIVE, PREVIOUS = "live", "previous"


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
        self.sdk = connect(plan.project_id, plan.region)

    def _rollout(self) -> Rollout:
        from google.api_core.exceptions import NotFound

        try:
            rollout = Rollout(self.sdk.Endpoint(self.plan.endpoint_name), self.plan, self.tell)
            rollout.deployed()  # the SDK asks for an endpoint only when something of it is read
        except NotFound as error:
            raise OperatorError(
                f"endpoint {self.plan.endpoint_id} does not exist",
                hint="cdktf deploy sam-serving makes it",
                exit_code=CLOUD,
            ) from error
        return rollout

    def _version(self, alias: str) -> Any | None:
        """The version with an alias, or ``None``."""
        from google.api_core.exceptions import NotFound

        try:
            return patiently(lambda: self.sdk.Model(f"{self.plan.model_name}@{alias}"))
        except NotFound:
            return None

    def versions(self) -> list[Any]:
        """All versions, oldest first; none where there is no model yet."""
        from google.api_core.exceptions import NotFound

        registry = self.sdk.models.ModelRegistry(self.plan.model_name)
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
        rollout = self._rollout()
        model = self._version(alias)
        uploaded = model is None
        if model is None:
            model = self._upload(alias, checkpoint)
        else:
            self.tell(f"version {model.version_id} ({alias}) is in the registry")
        try:
            released = self._serve(rollout, model, alias, in_place=in_place)
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
            lambda: self.sdk.Model.upload(
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
                version_description=json.dumps(about),
                labels={"app": "sam-vertex"},
                encryption_spec_key_name=plan.kms_key or None,
            ),
        )

    def _serve(self, rollout: Rollout, model: Any, alias: str, *, in_place: bool) -> Released:
        """Deploy a version beside the current one, check it, shift traffic, undeploy the rest."""
        deployed = rollout.deployed()
        split = rollout.split()
        mine = [one for one in deployed if rollout.is_of(one, model)]
        serving = [one for one in mine if split.get(one.id) == 100]
        if serving and len(deployed) == 1:
            self._mark(model)
            self._record(serving[0].id)
            self.tell(f"version {model.version_id} serves already; nothing to do")
            return Released(model.version_id, alias, serving[0].id, changed=False)
        others = [one for one in deployed if one not in mine]
        if in_place and others:
            self.tell("undeploying the old version first: no predictions until the new one is up")
            rollout.undeploy([one.id for one in others])
            split = {}
        fresh = not mine
        try:
            id_ = mine[0].id if mine else rollout.deploy(model, split)
            rollout.check(id_, rollout.split())
        except BaseException:
            if fresh:
                rollout.withdraw(model, split)
            if in_place and others:
                self.tell("deploying the old version again")
                old = self.sdk.Model(f"{others[0].model}@{others[0].model_version_id}")
                rollout.deploy(old, {})
            raise
        rollout.shift({id_: 100})
        self.tell(f"version {model.version_id} gets all traffic")
        current = rollout.deployed()
        rollout.undeploy([one.id for one in current if one.id != id_])
        self._mark(model)
        self._record(id_)
        return Released(model.version_id, alias, id_, changed=True)

    def _mark(self, model: Any) -> None:
        """Move the aliases: this version is live, the one that was is the previous."""
        registry = self.sdk.models.ModelRegistry(self.plan.model_name)
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
            registry = self.sdk.models.ModelRegistry(self.plan.model_name)
            patiently(lambda: registry.delete_version(model.version_id))

    def _records(self) -> Any:
        from serving.storage import open_folder

        return open_folder(f"gs://{self.plan.bucket_name}/serving/{self.plan.endpoint_id}")

    def _record(self, deployed_model_id: str) -> None:
        """Note what serves where Terraform reads it: ``<epoch>-<deployed model>``.

        The epoch is Terraform's to raise; a release by hand keeps the recorded one, so that the
        next plan is empty.
        """
        folder = self._records()
        earlier = [file.name for file in folder.files()]
        recorded = earlier[0].partition("-")[0] if earlier else "0"
        name = f"{self.plan.epoch or recorded}-{deployed_model_id}"
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
        return self._serve(self._rollout(), model, alias, in_place=False)

    def undeploy(self) -> int:
        """Undeploy everything; endpoint and versions stay. Returns how many there were."""
        rollout = self._rollout()
        ids = [one.id for one in rollout.deployed()]
        rollout.undeploy(ids)
        return len(ids)

    def teardown(self) -> None:
        """Undeploy everything and delete the model and its records: nothing is left billing."""
        from google.api_core.exceptions import NotFound

        try:
            self.undeploy()
        except OperatorError:
            self.tell("the endpoint is gone already")
        try:
            patiently(lambda: self.sdk.Model(self.plan.model_name).delete())
            self.tell(f"deleted model {self.plan.model_id}")
        except NotFound:
            self.tell("there is no model")
        folder = self._records()
        for file in list(folder.files()):
            folder.delete(file.name)

    def _asking(self, problem: str, call: Callable[[], Any]) -> Any:
        try:
            return patiently(call)
        except Exception as error:
            raise failed(problem, error) from error
