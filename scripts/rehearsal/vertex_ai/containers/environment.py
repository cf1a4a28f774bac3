"""The environment variables of containers, as Vertex sets them."""

from __future__ import annotations

import os
from pathlib import Path

from scripts.rehearsal.iam.callers import address_as
from scripts.rehearsal.vertex_ai.state import Json

# What a container gets of this process's own environment.
INHERITED = (
    *("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH"),
    "STORAGE_EMULATOR_HOST",
    "OMP_NUM_THREADS",  # how this machine's cores are divided
)


def _inherited_variables(account: str) -> dict[str, str]:
    variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # A container has no credentials of its own: the address of the storage says who it is.
    storage = variables.get("STORAGE_EMULATOR_HOST")
    if storage:
        variables["STORAGE_EMULATOR_HOST"] = address_as(storage, account)
    return variables


def serving_environment(version: Json, port: int, extra: Json, account: str) -> dict[str, str]:
    """The variables that Vertex sets, and those of the model's container spec.

    https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements

    Args:
        version: the model's version, as the registry keeps it.
        port: on which the container listens.
        extra: variables of the endpoint or job; empty ones are left out.
        account: who the container acts as.
    """
    spec = version["containerSpec"]
    return {
        **_inherited_variables(account),
        "GOOGLE_CLOUD_PROJECT": "rehearsal",  # the client asks the metadata server otherwise
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": spec.get("healthRoute", "/health"),
        "AIP_PREDICT_ROUTE": spec.get("predictRoute", "/predict"),
        "AIP_STORAGE_URI": version.get("copiedArtifacts", ""),
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        **{str(name): str(value) for name, value in extra.items() if value},
        **{variable["name"]: str(variable.get("value", "")) for variable in spec.get("env", [])},
        "SERVING_ACCELERATOR": "",  # whatever was asked for, this machine may have none
    }


def pipeline_environment(tree: Path, home: Path, parallelism: int, account: str) -> dict[str, str]:
    """The variables of a pipeline's containers, which find the image's files first.

    Args:
        tree: the image's files.
        home: the job's folder; temporary files lie there and go with it.
        parallelism: how many containers run at once. In the cloud each has a machine of its own,
            here each gets its share of the cores.
        account: who the steps act as.
    """
    return {
        **_inherited_variables(account),
        "GOOGLE_CLOUD_PROJECT": "rehearsal",
        "PYTHONPATH": str(tree),
        "TMPDIR": str(home),
        "OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // parallelism, 1)),
    }
