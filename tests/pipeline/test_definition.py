"""The graph compiles to the YAML that any Kubeflow takes, without loading a model's library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

IMAGE = "us-west1-docker.pkg.dev/p/images/sam@sha256:" + "0" * 64
GOLDEN = Path(__file__).parents[1] / "data" / "graph.yaml"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``sam-vertex pipeline compile`` writes; the process must not import torch."""
    path = tmp_path_factory.mktemp("graph") / "graph.yaml"
    code = (
        "import sys\nfrom scripts.cli import app\n"
        f"arguments = ['pipeline', 'compile', '--image', {IMAGE!r}, '--parallel', '7',\n"
        f"         '--output', {str(path)!r}]\n"
        "app(arguments, standalone_mode=False)\n"
        "assert not {'torch', 'segment_anything', 'cv2'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    content: dict[str, Any] = yaml.safe_load(Path(path).read_text())
    return content


def essence(graph: dict[str, Any]) -> dict[str, Any]:
    """What somebody pays for or relies on: image, limits, accelerator, retries, parameters."""
    tasks = dict(graph["root"]["dag"]["tasks"])
    for component in graph["components"].values():
        tasks |= component.get("dag", {}).get("tasks", {})
    return {
        "parameters": graph["root"]["inputDefinitions"]["parameters"],
        "containers": {
            name: {
                "image": executor["container"]["image"],
                "resources": executor["container"].get("resources"),
            }
            for name, executor in graph["deploymentSpec"]["executors"].items()
        },
        "tasks": {
            name: {
                key: task[key]
                for key in ("retryPolicy", "cachingOptions", "iteratorPolicy", "dependentTasks")
                if key in task
            }
            for name, task in tasks.items()
        },
        "outputs": graph["components"]["comp-write-report"]["outputDefinitions"],
    }


def test_graph_is_the_golden_one(compiled: dict[str, Any]) -> None:
    """Accelerator, limits, retries, image and parameters; UPDATE_GOLDEN=1 writes it anew."""
    actual = essence(compiled)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(yaml.safe_dump(actual, sort_keys=True), "utf-8")
    assert actual == yaml.safe_load(GOLDEN.read_text("utf-8"))


def test_shard_fits_an_n1_standard_4_with_a_t4(compiled: dict[str, Any]) -> None:
    resources = compiled["deploymentSpec"]["executors"]["exec-segment-shard"]["container"][
        "resources"
    ]
    assert resources["accelerator"]["resourceType"] == "NVIDIA_TESLA_T4"
    assert resources["accelerator"]["resourceCount"] == "1"
    assert resources["cpuLimit"] <= 4 and resources["memoryLimit"] <= 15


def test_graph_takes_one_input_and_runs_three_steps(compiled: dict[str, Any]) -> None:
    assert compiled["pipelineInfo"]["name"] == "segment-anything"
    assert set(compiled["root"]["dag"]["tasks"]) == {"plan-shards", "for-loop-1", "write-report"}
    loop = compiled["root"]["dag"]["tasks"]["for-loop-1"]
    assert loop["iteratorPolicy"] == {"parallelismLimit": 7}
    assert loop["parameterIterator"]["items"]["inputParameter"].endswith("plan-shards-Output")


def test_graph_steps_install_nothing_and_hand_on_no_artifacts(compiled: dict[str, Any]) -> None:
    """Collected artifacts are capped at 100; names of files are not."""
    for executor in compiled["deploymentSpec"]["executors"].values():
        assert "pip install" not in " ".join(executor["container"]["command"])
    shard = compiled["components"]["comp-segment-shard"]
    assert set(shard["outputDefinitions"]) == {"parameters"}
    report = compiled["components"]["comp-write-report"]
    assert "artifacts" not in report["inputDefinitions"]
    kind = report["outputDefinitions"]["artifacts"]["visualisation"]["artifactType"]
    assert kind["schemaTitle"] == "system.Markdown"


def test_local_graph_asks_for_no_machine(tmp_path: Path) -> None:
    from kfp import compiler

    from pipeline.definition import define_pipeline

    path = tmp_path / "graph.yaml"
    compiler.Compiler().compile(define_pipeline(), str(path))
    executors = yaml.safe_load(path.read_text())["deploymentSpec"]["executors"]
    assert all("resources" not in executor["container"] for executor in executors.values())
