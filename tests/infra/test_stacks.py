"""The stacks publish exactly what the scripts read; nothing of it is a secret."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa

from infra.results_table import COLUMNS, REPEATED
from infra.service_agents import AGENTS
from infra.services import ALWAYS
from infra.stacks import PLATFORM
from pipeline.report.table import SCHEMA
from scripts.cloud.deployment import Deployment
from scripts.prerequisites.cloud_checks import APIS
from tests.infra.deployment import STACKS, VARIANTS, document, plain, synthesize


def test_outputs_are_what_the_scripts_read(tmp_path: Path) -> None:
    stacks = synthesize(tmp_path)
    outputs = {name for stack in STACKS for name in document(stacks, stack)["output"]}
    assert outputs == set(Deployment.__dataclass_fields__)
    for stack in STACKS:
        for output in document(stacks, stack)["output"].values():
            assert not output.get("sensitive")


def test_doctor_asks_for_the_apis_that_are_enabled() -> None:
    assert APIS == ALWAYS


def test_bigquery_knows_the_columns_of_the_files() -> None:
    """But the one that it has no type for: a list of lists."""
    kinds = {
        pa.string(): "STRING",
        pa.int32(): "INTEGER",
        pa.int64(): "INTEGER",
        pa.float64(): "FLOAT",
    }
    lists = {field.name: field.type.value_type for field in SCHEMA if pa.types.is_list(field.type)}
    assert set(lists) == {"point_coords", *REPEATED}
    assert COLUMNS == {
        field.name: kinds[lists.get(field.name, field.type)]
        for field in SCHEMA
        if field.name != "point_coords"
    }


def test_agents_are_made_before_they_are_granted_anything(tmp_path: Path) -> None:
    """Google refuses a grant to an agent that does not exist yet."""
    resources = document(synthesize(tmp_path, cmek=True), PLATFORM)["resource"]
    made = {name for name in map(plain, resources["terraform_data"]) if name.startswith("agents")}
    assert made == {f"agents_{api}" for api in AGENTS if api not in ("storage", "compute")}
    grants = {
        plain(name): grant
        for kind, entries in resources.items()
        if kind.endswith("_iam_member")
        for name, grant in entries.items()
        if ":service-" in grant["member"]
    }
    assert "identities_vertex-administers-serving" in grants
    for name, grant in grants.items():
        after = {plain(address) for address in grant["depends_on"]}
        assert {f"terraform_data.{agent}" for agent in made} <= after, name


def test_destroy_begins_with_the_guard_and_ends_with_the_report(tmp_path: Path) -> None:
    """Terraform destroys what depends on something before that something."""
    settings = {**VARIANTS["cmek"], **VARIANTS["monitoring"]}
    resources = document(synthesize(tmp_path, **settings), PLATFORM)["resource"]
    after = {
        f"{kind}.{name}": set(entry.get("depends_on", [])) | set(_references(entry))
        for kind, entries in resources.items()
        for name, entry in entries.items()
    }

    def closure(address: str) -> set[str]:
        found: set[str] = set()
        waiting = [address]
        while waiting:
            for other in after[waiting.pop()] & set(after) - found:
                found.add(other)
                waiting.append(other)
        return found

    (guard,) = (name for name in after if "destroy-guard-of-all" in name)
    (report,) = (name for name in after if "destroy-report" in name)
    assert closure(guard) == set(after) - {guard}
    first = {name for name in after if report not in closure(name)}
    assert first == {report}


def _references(entry: object) -> list[str]:
    return re.findall(r"\b(google_\w+\.[\w-]+|terraform_data\.[\w-]+)", json.dumps(entry))
