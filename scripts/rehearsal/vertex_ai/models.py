"""The model registry: uploads, versions, aliases."""

from __future__ import annotations

import re
from typing import Any

from scripts.rehearsal.vertex_ai.artifacts import Artifacts
from scripts.rehearsal.vertex_ai.errors import ApiError, precondition
from scripts.rehearsal.vertex_ai.operations import EMPTY_RESPONSE, Operations, response
from scripts.rehearsal.vertex_ai.state import Json, State, find_model, new_id, now

MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
FORMATS = ["jsonl", "csv", "tf-record", "tf-record-gzip", "bigquery", "file-list"]


class Models:
    """Uploads and looks after models."""

    def __init__(self, state: State, operations: Operations, artifacts: Artifacts) -> None:
        self.state, self.operations, self.artifacts = state, operations, artifacts

    def upload(self, parent: str, body: Json) -> Json:
        """``models:upload``: a new model, or a version of one."""
        model = body.get("model") or {}
        spec = model.get("containerSpec") or {}
        image = str(spec.get("imageUri", ""))
        region = parent.rpartition("/")[2]
        self.artifacts.check_image(image, region)
        if "artifactUri" in model:
            self.artifacts.check_folder(model["artifactUri"])
        if not model.get("displayName") or len(model["displayName"]) > 128:
            raise ApiError(400, "display_name must have 1 to 128 characters.")
        for name in spec.get("env", []):
            if str(name.get("name", "")).startswith("AIP_"):
                raise ApiError(400, f"Environment variable {name['name']} is reserved.")
        aliases = list(model.get("versionAliases", []))
        for alias in aliases:
            if not ALIAS.fullmatch(alias):
                raise ApiError(400, f"Version alias {alias!r} is invalid.")
        parent_model = str(body.get("parentModel", ""))
        with self.state.open() as world:
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

        return self.operations.start(name, "UploadModelOperationMetadata", work)

    def _add(self, name: str, model: Json, aliases: list[str]) -> Json:
        with self.state.open() as world:
            known = world["vertex"]["models"].setdefault(name, {"versions": {}, "next": 1})
            version = str(known["next"])
            known["next"] += 1
        copy = self.artifacts.copy(model.get("artifactUri", ""), f"{name}@{version}")
        with self.state.open() as world:
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
                "image": self.artifacts.image(model["containerSpec"]["imageUri"]),
            }
        return response("UploadModelResponse", {"model": name, "modelVersionId": version})

    def shown(self, world: Json, name: str, version: str) -> Json:
        """A version as the service shows it."""
        content = dict(world["vertex"]["models"][name]["versions"][version])
        content.pop("copiedArtifacts", None)
        content.pop("image", None)
        deployed = [
            {"endpoint": endpoint, "deployedModelId": id_}
            for endpoint, found in world["vertex"]["deployments"].items()
            for id_, one in found.items()
            if one["model"] == name and one["version"] == version
        ]
        return {
            **content,
            "name": name,
            "versionId": version,
            "deployedModels": deployed,
            "supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"],
            "supportedInputStorageFormats": FORMATS,
            "supportedOutputStorageFormats": FORMATS[:1],
            "updateTime": content["versionCreateTime"],
        }

    def get(self, name: str) -> Json:
        """One version; the default one where none is named."""
        world = self.state.read()
        _, version = find_model(world, name)
        return self.shown(world, name.partition("@")[0], version)

    def list_models(self, parent: str, query: Json) -> Json:
        """The default version of every model."""
        world = self.state.read()
        found = []
        for name in sorted(world["vertex"]["models"]):
            if name.startswith(f"{parent}/models/"):
                _, version = find_model(world, name)
                found.append(self.shown(world, name, version))
        return {"models": _filtered(found, str(query.get("filter", "")))}

    def versions(self, name: str) -> Json:
        """All versions of a model."""
        world = self.state.read()
        name = name.partition("@")[0]
        model, _ = find_model(world, name)
        return {"models": [self.shown(world, name, version) for version in model["versions"]]}

    def merge_aliases(self, name: str, body: Json) -> Json:
        """Add aliases to a version, or take them away (``-alias``); one holder each."""
        with self.state.open() as world:
            model, version = find_model(world, name)
            for alias in body.get("versionAliases", []):
                plain = alias.removeprefix("-")
                if not ALIAS.fullmatch(plain):
                    raise ApiError(400, f"Version alias {plain!r} is invalid.")
                if plain == "default" and alias != plain:
                    raise precondition("The default alias cannot be removed, only moved.")
                for content in model["versions"].values():
                    if alias == plain or content is model["versions"][version]:
                        kept = [a for a in content["versionAliases"] if a != plain]
                        content["versionAliases"] = kept
                if alias == plain:
                    model["versions"][version]["versionAliases"].append(plain)
            return self.shown(world, name.partition("@")[0], version)

    def delete(self, name: str) -> Json:
        """The whole model; refused while any version is deployed."""
        with self.state.open() as world:
            find_model(world, name)
            self._refuse_deployed(world, name, None)

        def work() -> Json:
            with self.state.open() as world:
                model = world["vertex"]["models"].pop(name)
            for content in model["versions"].values():
                self.artifacts.remove_copy(content["copiedArtifacts"])
            return EMPTY_RESPONSE

        return self.operations.start(name, "DeleteOperationMetadata", work)

    def delete_version(self, name: str) -> Json:
        """One version; refused while it is deployed, or while it is the default among several."""
        base = name.partition("@")[0]
        with self.state.open() as world:
            model, version = find_model(world, name)
            self._refuse_deployed(world, base, version)
            content = model["versions"][version]
            if len(model["versions"]) == 1:
                raise precondition("The only version cannot be deleted; delete the model.")
            if "default" in content["versionAliases"]:
                raise precondition("The default version cannot be deleted.")

        def work() -> Json:
            with self.state.open() as world:
                gone = world["vertex"]["models"][base]["versions"].pop(version)
            self.artifacts.remove_copy(gone["copiedArtifacts"])
            return EMPTY_RESPONSE

        return self.operations.start(base, "DeleteOperationMetadata", work)

    @staticmethod
    def _refuse_deployed(world: Json, name: str, version: str | None) -> None:
        for endpoint, found in world["vertex"]["deployments"].items():
            for one in found.values():
                if one["model"] == name and version in (None, one["version"]):
                    raise precondition(
                        f"The Model {name} is deployed or being deployed at {endpoint}"
                    )


def _filtered(found: list[Json], text: str) -> list[Any]:
    """The filters that the SDK's users write: one field equals one string."""
    if not text:
        return found
    match = re.fullmatch(r'\s*(display_name|labels\.[a-z0-9_-]+)\s*=\s*"?([^"]*)"?\s*', text)
    if match is None:
        raise ApiError(400, f"Unsupported filter here: {text}")
    field, wanted = match.groups()
    if field == "display_name":
        return [one for one in found if one["displayName"] == wanted]
    key = field.partition(".")[2]
    return [one for one in found if one.get("labels", {}).get(key) == wanted]
