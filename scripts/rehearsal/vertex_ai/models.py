"""The model registry: uploads, versions, aliases."""

from __future__ import annotations

import re
from typing import Any

from scripts.rehearsal.api_errors import ApiError, failed_precondition
from scripts.rehearsal.vertex_ai.artifacts import Artifacts
from scripts.rehearsal.vertex_ai.operations import EMPTY_RESPONSE, Operations, response
from scripts.rehearsal.vertex_ai.permissions import agent_of
from scripts.rehearsal.vertex_ai.state import Json, State, find_model, new_id, now

MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
FORMATS = ["jsonl", "csv", "tf-record", "tf-record-gzip", "bigquery", "file-list"]


class Models:
    """The models of the world and their versions."""

    def __init__(self, state: State, operations: Operations, artifacts: Artifacts) -> None:
        self._state, self._operations, self._artifacts = state, operations, artifacts

    def upload(self, parent: str, body: Json) -> Json:
        """``models:upload``: a new model, or a version of one."""
        model = body.get("model") or {}
        spec = model.get("containerSpec") or {}
        image = str(spec.get("imageUri", ""))
        _, project_id, _, region = parent.split("/")
        agent = agent_of(project_id)
        self._artifacts.check_image(image, region, agent)
        if "artifactUri" in model:
            self._artifacts.check_folder(model["artifactUri"], agent)
        if not model.get("displayName") or len(model["displayName"]) > 128:
            raise ApiError(400, "display_name must have 1 to 128 characters.")
        for variable in spec.get("env", []):
            if str(variable.get("name", "")).startswith("AIP_"):
                raise ApiError(400, f"Environment variable {variable['name']} is reserved.")
        aliases = list(model.get("versionAliases", []))
        for alias in aliases:
            if not ALIAS.fullmatch(alias):
                raise ApiError(400, f"Version alias {alias!r} is invalid.")
        parent_model = str(body.get("parentModel", ""))
        with self._state.open() as world:
            if parent_model:
                name = parent_model.partition("@")[0]
                find_model(world, name)
            else:
                model_id = body.get("modelId") or new_id()
                if not (model_id.isdigit() or MODEL_ID.fullmatch(model_id)):
                    raise ApiError(400, f"Model id {model_id!r} is invalid.")
                name = f"{parent}/models/{model_id}"
                if name in world["vertex"]["models"]:
                    raise ApiError(409, f"Model {name} already exists.")

        def work() -> Json:
            return self._add(name, model, aliases)

        return self._operations.start(name, "UploadModelOperationMetadata", work)

    def _add(self, name: str, model: Json, aliases: list[str]) -> Json:
        with self._state.open() as world:
            known = world["vertex"]["models"].setdefault(name, {"versions": {}, "next": 1})
            version = str(known["next"])
            known["next"] += 1
        agent = agent_of(name.split("/")[1])
        copy = self._artifacts.copy(model.get("artifactUri", ""), f"{name}@{version}", agent)
        with self._state.open() as world:
            known = world["vertex"]["models"][name]
            if not known["versions"] or "default" in aliases:
                aliases = [*aliases, *(["default"] if "default" not in aliases else [])]
            for other in known["versions"].values():
                other["versionAliases"] = [a for a in other["versionAliases"] if a not in aliases]
            known["versions"][version] = {
                **model,
                "versionAliases": aliases,
                "versionCreateTime": now(),
                "createTime": known.setdefault("created", now()),
                "copiedArtifacts": copy,
                "image": self._artifacts.image(model["containerSpec"]["imageUri"]),
            }
        return response("UploadModelResponse", {"model": name, "modelVersionId": version})

    def _representation(self, world: Json, name: str, version: str) -> Json:
        """A version as the service shows it."""
        content = dict(world["vertex"]["models"][name]["versions"][version])
        content.pop("copiedArtifacts", None)
        content.pop("image", None)
        deployed_models = [
            {"endpoint": endpoint, "deployedModelId": id_}
            for endpoint, deployments in world["vertex"]["deployments"].items()
            for id_, deployment in deployments.items()
            if deployment["model"] == name and deployment["version"] == version
        ]
        return {
            **content,
            "name": name,
            "versionId": version,
            "deployedModels": deployed_models,
            "supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"],
            "supportedInputStorageFormats": FORMATS,
            "supportedOutputStorageFormats": FORMATS[:1],
            "updateTime": content["versionCreateTime"],
        }

    def get(self, name: str) -> Json:
        """One version; the default one where the name has none."""
        world = self._state.read()
        _, version = find_model(world, name)
        return self._representation(world, name.partition("@")[0], version)

    def list_models(self, parent: str, condition: str) -> Json:
        """The default version of every model of a region that a filter leaves."""
        world = self._state.read()
        models = []
        for name in sorted(world["vertex"]["models"]):
            if name.startswith(f"{parent}/models/"):
                _, version = find_model(world, name)
                models.append(self._representation(world, name, version))
        return {"models": _filtered(models, condition)}

    def versions(self, name: str) -> Json:
        """All versions of a model."""
        world = self._state.read()
        name = name.partition("@")[0]
        model, _ = find_model(world, name)
        return {
            "models": [self._representation(world, name, version) for version in model["versions"]]
        }

    def merge_aliases(self, name: str, body: Json) -> Json:
        """Add aliases to a version, or take them away (``-alias``); one holder each."""
        with self._state.open() as world:
            model, version = find_model(world, name)
            for alias in body.get("versionAliases", []):
                plain = alias.removeprefix("-")
                if not ALIAS.fullmatch(plain):
                    raise ApiError(400, f"Version alias {plain!r} is invalid.")
                if plain == "default" and alias != plain:
                    raise failed_precondition("The default alias cannot be removed, only moved.")
                for content in model["versions"].values():
                    if alias == plain or content is model["versions"][version]:
                        kept = [a for a in content["versionAliases"] if a != plain]
                        content["versionAliases"] = kept
                if alias == plain:
                    model["versions"][version]["versionAliases"].append(plain)
            return self._representation(world, name.partition("@")[0], version)

    def delete(self, name: str) -> Json:
        """Delete a model with all its versions; refused while any of them is deployed."""
        with self._state.open() as world:
            find_model(world, name)
            self._refuse_deployed(world, name, None)

        def work() -> Json:
            with self._state.open() as world:
                model = world["vertex"]["models"].pop(name)
            for content in model["versions"].values():
                self._artifacts.remove_copy(content["copiedArtifacts"])
            return EMPTY_RESPONSE

        return self._operations.start(name, "DeleteOperationMetadata", work)

    def delete_version(self, name: str) -> Json:
        """Delete a version; refused while it is deployed, the default or the only one."""
        base = name.partition("@")[0]
        with self._state.open() as world:
            model, version = find_model(world, name)
            self._refuse_deployed(world, base, version)
            content = model["versions"][version]
            if len(model["versions"]) == 1:
                raise failed_precondition("The only version cannot be deleted; delete the model.")
            if "default" in content["versionAliases"]:
                raise failed_precondition("The default version cannot be deleted.")

        def work() -> Json:
            with self._state.open() as world:
                gone = world["vertex"]["models"][base]["versions"].pop(version)
            self._artifacts.remove_copy(gone["copiedArtifacts"])
            return EMPTY_RESPONSE

        return self._operations.start(base, "DeleteOperationMetadata", work)

    @staticmethod
    def _refuse_deployed(world: Json, name: str, version: str | None) -> None:
        for endpoint, deployments in world["vertex"]["deployments"].items():
            for deployment in deployments.values():
                of_version = version in (None, deployment["version"])
                if deployment["model"] == name and of_version:
                    raise failed_precondition(
                        f"The Model {name} is deployed or being deployed at {endpoint}"
                    )


def _filtered(models: list[Json], condition: str) -> list[Any]:
    """The models that a filter leaves: one field equals one string, as the SDK's users write."""
    if not condition:
        return models
    match = re.fullmatch(r'\s*(display_name|labels\.[a-z0-9_-]+)\s*=\s*"?([^"]*)"?\s*', condition)
    if match is None:
        raise ApiError(400, f"Unsupported filter here: {condition}")
    field, value = match.groups()
    if field == "display_name":
        return [model for model in models if model["displayName"] == value]
    label = field.partition(".")[2]
    return [model for model in models if model.get("labels", {}).get(label) == value]
