"""The graph compiles to the YAML that any Kubeflow takes, without loading a model's library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The compiled graph, made in a process of its own that must not import torch."""
    path = tmp_path_factory.mktemp("graph") / "graph.yaml"
    code = (
        "import sys\nfrom kfp import compiler\n"
        "from pipeline.definition import define_pipeline\n"
        f"graph = define_pipeline(image='example/python-image', parallelism=7)\n"
        f"compiler.Compiler().compile(graph, {str(path)!r})\n"
        "assert not {'torch', 'segment_anything', 'cv2'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    content: dict[str, Any] = yaml.safe_load(Path(path).read_text())
    return content


def test_graph_takes_one_input_and_runs_three_steps(compiled: dict[str, Any]) -> None:
    assert compiled["pipelineInfo"]["name"] == "segment-anything"
    assert set(compiled["root"]["inputDefinitions"]["parameters"]) == {"parameters"}
    assert set(compiled["root"]["dag"]["tasks"]) == {"plan-shards", "for-loop-1", "write-report"}


def test_graph_loops_over_shards_with_the_given_parallelism(compiled: dict[str, Any]) -> None:
    loop = compiled["root"]["dag"]["tasks"]["for-loop-1"]
    assert loop["iteratorPolicy"] == {"parallelismLimit": 7}
    assert loop["parameterIterator"]["items"]["inputParameter"].endswith("plan-shards-Output")


def test_graph_steps_use_the_image_and_install_nothing(compiled: dict[str, Any]) -> None:
    executors = compiled["deploymentSpec"]["executors"].values()
    assert len(executors) == 3
    for executor in executors:
        assert executor["container"]["image"] == "example/python-image"
        assert "pip install" not in " ".join(executor["container"]["command"])


def test_graph_never_caches(compiled: dict[str, Any]) -> None:
    """The folder may have changed since; what is done is known from the output itself."""
    tasks = [compiled["root"]["dag"]["tasks"][name] for name in ("plan-shards", "write-report")]
    assert all(not task["cachingOptions"].get("enableCache") for task in tasks)
