"""The provider's side of Terraform's plugin protocol, version 6.

https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol
"""

from __future__ import annotations

import json
from typing import Any

import grpc
from tfplugin_proto import tfplugin6_5_pb2 as pb
from tfplugin_proto import tfplugin6_5_pb2_grpc as pb_grpc

from scripts.rehearsal.google_provider.protocol.schema_messages import provider_schema
from scripts.rehearsal.google_provider.rules import planning
from scripts.rehearsal.google_provider.rules.checking import Problem, check_configuration
from scripts.rehearsal.google_provider.schema.snapshot import resource_block, snapshot
from scripts.rehearsal.google_provider.schema.values import Path, decode, encode
from scripts.rehearsal.google_provider.services.data_sources import read_data
from scripts.rehearsal.google_provider.services.refusals import ServiceError
from scripts.rehearsal.google_provider.services.service import CreatedAndFailed, Service


def _value(data: Any) -> pb.DynamicValue:
    return pb.DynamicValue(msgpack=encode(data))


def _steps(block: dict[str, Any], path: Path) -> pb.AttributePath:
    """A path for Terraform; the schema tells keys of maps from attributes."""
    steps = []
    in_map = False
    for part in path:
        if isinstance(part, int):
            steps.append(pb.AttributePath.Step(element_key_int=part))
            continue
        if in_map:
            steps.append(pb.AttributePath.Step(element_key_string=part))
            continue
        steps.append(pb.AttributePath.Step(attribute_name=part))
        nested = block.get("block_types", {}).get(part)
        if nested is None:
            in_map = True
        else:
            block = nested["block"]
    return pb.AttributePath(steps=steps)


def _error(summary: str, detail: str = "", path: pb.AttributePath | None = None) -> pb.Diagnostic:
    return pb.Diagnostic(
        severity=pb.Diagnostic.ERROR, summary=summary, detail=detail, attribute=path
    )


class Provider(pb_grpc.ProviderServicer):
    """Answers Terraform by the rules and the service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._project: str | None = None

    def GetMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The names of all resources and data sources."""
        provider = snapshot()
        kind = pb.GetMetadata
        return kind.Response(
            resources=[
                kind.ResourceMetadata(type_name=name) for name in provider["resource_schemas"]
            ],
            data_sources=[
                kind.DataSourceMetadata(type_name=name) for name in provider["data_source_schemas"]
            ],
            server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=True),
        )

    def GetProviderSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The whole schema."""
        return provider_schema()

    def GetFunctions(self, request: Any, context: grpc.ServicerContext) -> Any:
        """No functions."""
        return pb.GetFunctions.Response()

    def ValidateProviderConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuse nothing of the provider's own settings."""
        return pb.ValidateProviderConfig.Response()

    def ConfigureProvider(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Remember the default project."""
        self._project = decode(request.config.msgpack).get("project")
        return pb.ConfigureProvider.Response()

    def ValidateResourceConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuse what the real provider refuses before planning."""
        block = resource_block(request.type_name)
        problems: list[Problem] = check_configuration(
            request.type_name, decode(request.config.msgpack)
        )
        return pb.ValidateResourceConfig.Response(
            diagnostics=[
                _error(item.summary, item.detail, _steps(block, item.path)) for item in problems
            ]
        )

    def ValidateDataResourceConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuse nothing."""
        return pb.ValidateDataResourceConfig.Response()

    def UpgradeResourceState(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Pass stored state on: the schema has only one version."""
        block = resource_block(request.type_name)
        stored = json.loads(request.raw_state.json)
        names = [*block.get("attributes", {}), *block.get("block_types", {})]
        return pb.UpgradeResourceState.Response(
            upgraded_state=_value({name: stored.get(name) for name in names})
        )

    def ReadResource(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The resource as it is now; null when it is gone."""
        current = decode(request.current_state.msgpack)
        state = self._service.read(request.type_name, str(current["id"]))
        return pb.ReadResource.Response(new_state=_value(state), private=request.private)

    def PlanResourceChange(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What the change would make of the resource."""
        prior = decode(request.prior_state.msgpack)
        if decode(request.proposed_new_state.msgpack) is None:
            return pb.PlanResourceChange.Response(
                planned_state=_value(None), legacy_type_system=True
            )
        planned, replaced = planning.plan(
            request.type_name, decode(request.config.msgpack), prior, self._project
        )
        block = resource_block(request.type_name)
        return pb.PlanResourceChange.Response(
            planned_state=_value(planned),
            requires_replace=[_steps(block, path) for path in replaced],
            legacy_type_system=True,
        )

    def ApplyResourceChange(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Create, change or delete a resource."""
        prior = decode(request.prior_state.msgpack)
        planned = decode(request.planned_state.msgpack)
        kind = request.type_name
        try:
            if planned is None:
                self._service.delete(kind, prior)
                state = None
            elif prior is None:
                state = self._service.create(kind, planned)
            else:
                state = self._service.update(kind, planned)
        except ServiceError as error:
            kept = error.values if isinstance(error, CreatedAndFailed) else prior
            return pb.ApplyResourceChange.Response(
                new_state=_value(kept), diagnostics=[_error(str(error))], legacy_type_system=True
            )
        return pb.ApplyResourceChange.Response(new_state=_value(state), legacy_type_system=True)

    def ImportResourceState(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take a resource that exists into the state."""
        state = self._service.read(request.type_name, request.id)
        if state is None:
            return pb.ImportResourceState.Response(
                diagnostics=[_error("Cannot import non-existent remote object", request.id)]
            )
        imported = pb.ImportResourceState.ImportedResource(
            type_name=request.type_name, state=_value(state)
        )
        return pb.ImportResourceState.Response(imported_resources=[imported])

    def ReadDataSource(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The values of a data source as they are now."""
        config = decode(request.config.msgpack)
        attributes = snapshot()["data_source_schemas"][request.type_name]["block"]["attributes"]
        project = str(config.get("project_id") or config.get("project") or self._project)
        try:
            values = read_data(self._service, request.type_name, config, project)
        except ServiceError as error:
            return pb.ReadDataSource.Response(diagnostics=[_error(str(error))])
        values = {**dict.fromkeys(attributes), **values, **_configured(config)}
        return pb.ReadDataSource.Response(state=_value(values))

    def StopProvider(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Interrupt nothing: every answer takes a moment."""
        return pb.StopProvider.Response()


def _configured(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if value is not None}
