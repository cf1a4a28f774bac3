"""What the service refuses of a pipeline job before it starts anything."""

from __future__ import annotations

import json
import re

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.vertex_ai.state import Json

LABEL = re.compile(r"[a-z0-9_-]{0,63}")
ACCELERATORS = ("NVIDIA_TESLA_T4", "NVIDIA_L4", "NVIDIA_TESLA_V100", "NVIDIA_TESLA_A100")
_GOOGLES = "gcr.io/ml-pipeline/"
MOST_CPUS, MOST_GB = 96, 624
_TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
}


def containers(graph: Json) -> list[Json]:
    """The containers of a compiled graph."""
    executors = (graph.get("deploymentSpec") or {}).get("executors") or {}
    return [executor.get("container") or {} for executor in executors.values()]


def images(graph: Json) -> list[str]:
    """The images of a compiled graph's containers, without Google's own."""
    every = {str(container.get("image", "")) for container in containers(graph)}
    return sorted(image for image in every if not image.startswith(_GOOGLES))


def custom_jobs(graph: Json) -> list[Json]:
    """The custom jobs that a compiled graph starts, as their launcher is told of them."""
    jobs = []
    for container in containers(graph):
        arguments = container.get("args") or []
        if str(container.get("image", "")).startswith(_GOOGLES) and "--payload" in arguments:
            jobs.append(json.loads(arguments[arguments.index("--payload") + 1]))
    return jobs


def parallelism(graph: Json) -> int:
    """How many tasks of a loop run at once, at most."""
    tasks = graph["root"].get("dag", {}).get("tasks", {}).values()
    limits = [(task.get("iteratorPolicy") or {}).get("parallelismLimit", 0) for task in tasks]
    return max([int(limit) for limit in limits], default=0) or 1


def accelerators_at_once(graph: Json) -> Json:
    """How many accelerators a graph's tasks need at once, at most, by name."""
    counts: Json = {}
    for container in containers(graph):
        accelerator = (container.get("resources") or {}).get("accelerator") or {}
        kind = str(accelerator.get("resourceType") or accelerator.get("type", ""))
        count = int(accelerator.get("resourceCount") or accelerator.get("count") or 1)
        if kind:
            counts[kind] = max(counts.get(kind, 0), count * parallelism(graph))
    return counts


def check_labels(labels: Json) -> None:
    """Refuse labels that the service refuses."""
    for key, value in labels.items():
        if not LABEL.fullmatch(str(key)) or not LABEL.fullmatch(str(value)) or not key:
            raise ApiError(
                400, f"Label {key}={value}: at most 63 lower-case letters, digits, _ and -."
            )


def check_graph(graph: Json) -> None:
    """Refuse a graph without tasks, and containers that no machine has room for."""
    if not str(graph.get("schemaVersion", "")).startswith("2.") or "root" not in graph:
        raise ApiError(400, "pipeline_spec has no schemaVersion 2.x or no root.")
    if not containers(graph):
        raise ApiError(400, "pipeline_spec has no executors.")
    for container in containers(graph):
        resources = container.get("resources") or {}
        cpus = float(resources.get("cpuLimit", 0) or 0)
        memory = float(resources.get("memoryLimit", 0) or 0)
        if cpus > MOST_CPUS or memory > MOST_GB:
            raise ApiError(400, f"No machine has {cpus:g} CPUs and {memory:g} GB.")
        accelerator = resources.get("accelerator") or {}
        kind = accelerator.get("resourceType") or accelerator.get("type", "")
        if kind and kind not in ACCELERATORS:
            raise ApiError(
                400, f"Accelerator {kind!r} is not supported; expected such as NVIDIA_TESLA_T4."
            )


def check_parameters(graph: Json, values: Json) -> None:
    """Refuse parameters that are missing, unknown, or of another type."""
    definitions = (graph["root"].get("inputDefinitions") or {}).get("parameters") or {}
    for name, definition in definitions.items():
        optional = definition.get("isOptional") or "defaultValue" in definition
        if name not in values and not optional:
            raise ApiError(400, f"Missing runtime parameter: {name}.")
    for name, value in values.items():
        if name not in definitions:
            raise ApiError(400, f"Unknown runtime parameter: {name}.")
        types = _TYPES.get(str(definitions[name].get("parameterType")))
        if types is not None and not isinstance(value, types):
            raise ApiError(400, f"Runtime parameter {name} is of type {type(value).__name__}.")
