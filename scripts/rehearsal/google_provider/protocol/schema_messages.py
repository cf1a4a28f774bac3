"""The schema in the form that Terraform asks for: messages of the plugin protocol."""

from __future__ import annotations

import json
from typing import Any

from tfplugin_proto import tfplugin6_5_pb2 as pb

from scripts.rehearsal.google_provider.rules.resource_rules import Rules
from scripts.rehearsal.google_provider.rules.rulebook import RULES
from scripts.rehearsal.google_provider.schema.snapshot import Block, snapshot


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
    provider = snapshot()
    return pb.GetProviderSchema.Response(
        provider=_schema_message(provider["provider"], Rules()),
        resource_schemas={
            name: _schema_message(schema, RULES[name])
            for name, schema in provider["resource_schemas"].items()
        },
        data_source_schemas={
            name: _schema_message(schema, Rules())
            for name, schema in provider["data_source_schemas"].items()
        },
        server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=True),
    )
