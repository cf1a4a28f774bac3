"""Derive the provider's schema from the installed bindings, in Terraform's own JSON form.

    python -m scripts.rehearsal.google_provider.schema.bundle          # write schema.json anew
    python -m scripts.rehearsal.google_provider.schema.bundle --check  # fail if it would change

The wheel ``cdktf-cdktf-provider-google`` carries its TypeScript sources (in the source maps of its
bundle), generated from the real provider. They tell, for every attribute, its type and whether it
is computed, optional or required, and for every block how it nests. What they do not tell
(sensitive, defaults, allowed values, what forces a replacement) is in ``rules/products``.

The form is that of ``terraform providers schema -json``
(https://developer.hashicorp.com/terraform/cli/commands/providers/schema).
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

SCHEMA_PATH = Path(__file__).with_name("schema.json")
ADDRESS = "registry.terraform.io/hashicorp/google"
RESOURCES = (
    "google_artifact_registry_repository",
    "google_artifact_registry_repository_iam_member",
    "google_bigquery_dataset",
    "google_bigquery_table",
    "google_billing_budget",
    "google_compute_firewall",
    "google_compute_network",
    "google_compute_router",
    "google_compute_router_nat",
    "google_compute_subnetwork",
    "google_kms_crypto_key",
    "google_kms_crypto_key_iam_member",
    "google_kms_key_ring",
    "google_logging_metric",
    "google_monitoring_alert_policy",
    "google_monitoring_dashboard",
    "google_monitoring_notification_channel",
    "google_project_iam_member",
    "google_project_service",
    "google_service_account",
    "google_service_account_iam_member",
    "google_storage_bucket",
    "google_storage_bucket_iam_member",
    "google_storage_bucket_object",
    "google_storage_managed_folder",
    "google_storage_managed_folder_iam_member",
    "google_vertex_ai_endpoint",
    "google_workbench_instance",
)
DATA_SOURCES = (
    "google_project",
    "google_storage_project_service_account",
    "google_storage_bucket_objects",
    "google_artifact_registry_docker_images",
)

_ATTRIBUTE = re.compile(
    r"// (?P<name>\w+) - computed: (?P<computed>\w+), optional: (?P<optional>\w+), "
    r"required: (?P<required>\w+)\n(?P<body>.*?)(?=\n\s*// \w+ - computed: |\n\s*// =====|\n\}\n)",
    re.DOTALL,
)
_CLASS = re.compile(
    r"^export class (?P<name>\w+) extends cdktf\.(?P<base>\w+) \{\n(?P<body>.*?)^\}\n",
    re.DOTALL | re.MULTILINE,
)
_MEMBER = re.compile(r'= new (?P<kind>[\w.]+)\(this, "\w+"(?:, (?P<set>true|false))?\)')
_GETTER = re.compile(r"return (?P<set>cdktf\.Fn\.tolist\()?this\.get(?P<kind>\w+)Attribute\(")
_PRIMITIVES = {"String": "string", "Number": "number", "Boolean": "bool"}


class BundleError(Exception):
    """The bundle is missing, or unlike what this parser was written for."""


class Bundle:
    """The sources inside the installed bindings."""

    def __init__(self) -> None:
        package = importlib.util.find_spec("cdktf_cdktf_provider_google")
        if package is None or package.origin is None:
            raise BundleError("cdktf-cdktf-provider-google is not installed; run make setup")
        (path,) = Path(package.origin).parent.glob("_jsii/provider-google@*.jsii.tgz")
        self._archive = tarfile.open(path)  # noqa: SIM115 - lives as long as the bundle

    def source(self, folder: str) -> str:
        """TypeScript of one resource, from the source map at the end of its compiled file."""
        member = self._archive.extractfile(f"package/lib/{folder}/index.js")
        if member is None:
            raise BundleError(f"{folder}: not in the bundle")
        packed = member.read().decode("utf-8").rpartition("base64,")[2]
        return str(json.loads(base64.b64decode(packed))["sourcesContent"][0])


def _element(kind: str, is_set: bool) -> Any:
    """Terraform's type for what a getter or a member of the bindings returns."""
    if kind in _PRIMITIVES:
        return _PRIMITIVES[kind]
    if kind == "Any":
        return "dynamic"
    for suffix, collection in (("List", "set" if is_set else "list"), ("Map", "map")):
        if kind.endswith(suffix):
            inner = kind.removesuffix(suffix)
            return [collection, "string" if not inner else _element(inner, False)]
    raise BundleError(f"{kind}: no such kind of attribute is known")


class _Source:
    """The classes of one file, each with its documented attributes."""

    def __init__(self, text: str) -> None:
        self.classes = {match["name"]: match for match in _CLASS.finditer(text)}

    def root(self) -> str:
        """The class of the resource, data source or provider itself."""
        bases = ("TerraformResource", "TerraformDataSource", "TerraformProvider")
        (name,) = [name for name, match in self.classes.items() if match["base"] in bases]
        return name

    def block(self, name: str) -> dict[str, Any]:
        """A block in the form of the schema, from the class that stands for it."""
        block: dict[str, Any] = {"attributes": {}, "block_types": {}}
        for attribute in _ATTRIBUTE.finditer(self.classes[name]["body"] + "\n}\n"):
            flags = {
                flag: True
                for flag in ("computed", "optional", "required")
                if attribute[flag] == "true"
            }
            nested = self._nested(attribute["body"])
            if nested is None:
                block["attributes"][attribute["name"]] = {"type": self._type(attribute), **flags}
                continue
            inner, mode, single = nested
            if "computed" in flags:
                shape = ["object", self._object(inner)]
                block["attributes"][attribute["name"]] = {"type": [mode, shape], **flags}
            elif mode == "single":
                block["block_types"][attribute["name"]] = {
                    "nesting_mode": "single",
                    "block": self.block(inner),
                }
            else:
                block["block_types"][attribute["name"]] = {
                    "nesting_mode": mode,
                    "block": self.block(inner),
                    **({"min_items": 1} if "required" in flags else {}),
                    **({"max_items": 1} if single else {}),
                }
        return {key: dict(sorted(value.items())) for key, value in block.items() if value}

    def _nested(self, body: str) -> tuple[str, str, bool] | None:
        """Class, nesting mode and whether at most one, where the attribute is a block."""
        member = _MEMBER.search(body)
        if member is None or member["kind"].startswith("cdktf."):
            return None
        kind = member["kind"]
        if kind.endswith("List"):
            inner = kind.removesuffix("List") + "OutputReference"
            return inner, "set" if member["set"] == "true" else "list", False
        call = re.search(
            r"super\(terraformResource, terraformAttribute(.*?)\)", self.classes[kind][0]
        )
        arguments = call[1] if call else ""
        if arguments == ", false":
            return kind, "single", True
        return kind, "set" if "true" in arguments else "list", True

    def _type(self, attribute: re.Match[str]) -> Any:
        body = attribute["body"]
        member = _MEMBER.search(body)
        if member is not None:
            return _element(member["kind"].removeprefix("cdktf."), member["set"] == "true")
        getter = _GETTER.search(body)
        if getter is not None:
            return _element(getter["kind"], getter["set"] is not None)
        if "return this._" in body:  # the provider's own settings have no getter by name
            declared = re.search(r"private _\w+\?: ([\w\[\]]+)", body)
            if declared:
                return {"string": "string", "number": "number", "boolean": "bool"}.get(
                    declared[1],
                    ["list", "string"] if declared[1] == "string[]" else ["map", "string"],
                )
            return ["map", "string"]
        raise BundleError(f"{attribute['name']}: no type in {body[:120]!r}")

    def _object(self, name: str) -> dict[str, Any]:
        block = self.block(name)
        shape = {key: value["type"] for key, value in block.get("attributes", {}).items()}
        for key, value in block.get("block_types", {}).items():
            inner = {
                inner_key: inner_value["type"]
                for inner_key, inner_value in value["block"].get("attributes", {}).items()
            }
            shape[key] = [value["nesting_mode"], ["object", inner]]
        return dict(sorted(shape.items()))


def build_schema() -> dict[str, Any]:
    """The whole snapshot: provider, resources and data sources that the stacks use.

    Raises:
        BundleError: the bindings are missing, or look unlike what this was written for.
    """
    bundle = Bundle()

    def schema(folder: str) -> dict[str, Any]:
        source = _Source(bundle.source(folder))
        return {"version": 0, "block": source.block(source.root())}

    def folder(name: str) -> str:
        return name.removeprefix("google_").replace("_", "-")

    # The bindings do not carry schema versions; only stored state of other versions needs them.
    resources = {name: schema(folder(name)) for name in RESOURCES}
    data = {name: schema(f"data-google-{folder(name)}") for name in DATA_SOURCES}
    return {
        "format_version": "1.0",
        "provider_schemas": {
            ADDRESS: {
                "provider": schema("provider"),
                "resource_schemas": resources,
                "data_source_schemas": data,
            }
        },
    }


def main() -> None:
    """Write the snapshot, or check that it is what the bindings give."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    arguments = parser.parse_args()
    text = json.dumps(build_schema(), indent=1) + "\n"
    if not arguments.check:
        SCHEMA_PATH.write_text(text, "utf-8")
    elif SCHEMA_PATH.read_text("utf-8") != text:
        sys.exit("error: schema.json differs from the bindings\nhint: run this without --check")


if __name__ == "__main__":
    main()
