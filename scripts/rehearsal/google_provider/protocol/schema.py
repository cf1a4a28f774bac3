"""The schema snapshot: read from disk, and in the form that Terraform asks for."""

from __future__ import annotations

import functools
import json
from typing import Any

from tfplugin_proto import tfplugin6_5_pb2 as pb

from scripts.rehearsal.google_provider.protocol.bundle import ADDRESS, SCHEMA_PATH
from scripts.rehearsal.google_provider.rules.rule import Rules
from scripts.rehearsal.google_provider.rules.rulebook import RULES

Block = dict[str, Any]  # "attributes" and "block_types", as ``terraform providers schema -json``


@functools.cache
def snapshot() -> dict[str, Any]:
    """The provider's part of the snapshot."""
    return dict(json.loads(SCHEMA_PATH.read_text("utf-8"))["provider_schemas"][ADDRESS])


def resource_block(type_name: str) -> Block:
    """The block of a resource type."""
    return dict(snapshot()["resource_schemas"][type_name]["block"])


def _block_message(block: Block, rules: Rules, path: str) -> pb.Schema.Block:
    attributes = [
        pb.Schema.Attribute(
            name=name,
            type=json.dumps(attribute["type"]).encode(),
            required=attribute.get("required", False),
            optional=attribute.get("optional", False),
            computed=attribute.get("computed", False),
            sensitive=path + name in rules.sensitive,
        )
        for name, attribute in block.get("attributes", {}).items()
    ]
    nested = [
        pb.Schema.NestedBlock(
            type_name=name,
            nesting=inner["nesting_mode"].upper(),
            min_items=inner.get("min_items", 0),
            max_items=inner.get("max_items", 0),
            block=_block_message(inner["block"], rules, f"{path}{name}."),
        )
        for name, inner in block.get("block_types", {}).items()
    ]
    return pb.Schema.Block(attributes=attributes, block_types=nested)


def _schema_message(schema: dict[str, Any], rules: Rules) -> pb.Schema:
    return pb.Schema(
        version=schema.get("version", 0), block=_block_message(schema["block"], rules, "")
    )


def provider_schema() -> pb.GetProviderSchema.Response:
    """Everything, as the answer to Terraform's first question."""
    found = snapshot()
    return pb.GetProviderSchema.Response(
        provider=_schema_message(found["provider"], Rules()),
        resource_schemas={
            name: _schema_message(schema, RULES[name])
            for name, schema in found["resource_schemas"].items()
        },
        data_source_schemas={
            name: _schema_message(schema, Rules())
            for name, schema in found["data_source_schemas"].items()
        },
        server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=True),
    )
