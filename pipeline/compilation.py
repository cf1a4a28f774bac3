"""The graph as the YAML that any Kubeflow takes."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

from pipeline.definition import GPU, Machine, define_pipeline


def compile_pipeline(
    path: Path, *, image: str, machine: Machine = GPU, parallelism: int = 1, engine: str = "vertex"
) -> None:
    """Write the compiled graph (schema 2.1.0) to a ``.yaml`` or ``.json`` file.

    Args:
        path: the file.
        image: container image of all steps.
        machine: what a shard asks for.
        parallelism: how many shards run at once.
        engine: where it will run, for the report.
    """
    from kfp import compiler

    graph = define_pipeline(image=image, engine=engine, parallelism=parallelism, machine=machine)
    # Kubeflow prints to standard output, which belongs to the command.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        compiler.Compiler().compile(graph, str(path))
