"""The stacks publish exactly what the scripts read; nothing of it is a secret."""

from __future__ import annotations

from pathlib import Path

from scripts.cloud.deployment import Deployment
from tests.infra.deployment import STACKS, document, synthesize


def test_outputs_are_what_the_scripts_read(tmp_path: Path) -> None:
    stacks = synthesize(tmp_path)
    outputs = {name for stack in STACKS for name in document(stacks, stack)["output"]}
    assert outputs == set(Deployment.__dataclass_fields__)
    for stack in STACKS:
        for output in document(stacks, stack)["output"].values():
            assert not output.get("sensitive")
