"""The schema snapshot is what the installed bindings give, byte for byte, and is Terraform's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.rehearsal.google_provider.rules.rulebook import RULES
from scripts.rehearsal.google_provider.schema import bundle
from scripts.rehearsal.google_provider.schema.snapshot import resource_block
from scripts.rehearsal.local_cloud import Cloud


def test_snapshot_is_regenerated_byte_for_byte() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.rehearsal.google_provider.schema.bundle", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_snapshot_is_what_terraform_says_it_got(cloud: Cloud, tmp_path: Path) -> None:
    """``terraform providers schema -json`` over the wire gives the snapshot back."""
    (tmp_path / "main.tf.json").write_text(
        json.dumps(
            {"terraform": {"required_providers": {"google": {"source": "hashicorp/google"}}}}
        )
    )
    environment = {"PATH": os.environ["PATH"], **cloud.environment()}

    def terraform(*arguments: str) -> str:
        return subprocess.run(
            ["terraform", *arguments], cwd=tmp_path, env=environment, check=True,
            capture_output=True, text=True,
        ).stdout  # fmt: skip

    terraform("init")
    printed = json.loads(terraform("providers", "schema", "-json"))
    snapshot = json.loads(bundle.SCHEMA_PATH.read_text("utf-8"))
    ours, theirs = (item["provider_schemas"][bundle.ADDRESS] for item in (snapshot, printed))
    for kind in ("resource_schemas", "data_source_schemas"):
        for name, schema in ours[kind].items():
            assert comparable(theirs[kind][name]["block"]) == comparable(schema["block"]), name


def comparable(block: dict[str, Any]) -> dict[str, Any]:
    """A block without what only one side carries: descriptions, and what rules.py marks secret."""
    ignored = {"description_kind", "description", "sensitive"}
    return {
        "attributes": {
            name: {key: value for key, value in attribute.items() if key not in ignored}
            for name, attribute in block.get("attributes", {}).items()
        },
        "block_types": {
            name: {
                **{key: value for key, value in nested.items() if key != "block"},
                "block": comparable(nested["block"]),
            }
            for name, nested in block.get("block_types", {}).items()
        },
    }


def test_known_attributes_have_their_known_kinds() -> None:
    """A few whose kind is documented, from every corner of the bindings' sources."""
    workbench = resource_block("google_workbench_instance")
    assert workbench["attributes"]["name"] == {"type": "string", "required": True}
    assert workbench["attributes"]["labels"] == {"type": ["map", "string"], "optional": True}
    assert workbench["attributes"]["effective_labels"]["computed"] is True
    setup = workbench["block_types"]["gce_setup"]
    assert (setup["nesting_mode"], setup["max_items"]) == ("list", 1)
    assert "max_items" not in setup["block"]["block_types"]["accelerator_configs"]
    repository = resource_block("google_artifact_registry_repository")
    assert repository["block_types"]["cleanup_policies"]["nesting_mode"] == "set"
    nat = resource_block("google_compute_router_nat")
    assert nat["attributes"]["nat_ips"]["type"] == ["set", "string"]
    assert repository["block_types"]["timeouts"]["nesting_mode"] == "single"


def test_every_rule_names_an_attribute_that_exists() -> None:
    """A rule with a misspelt name would never fire."""
    for type_name, rules in RULES.items():
        if type_name.endswith("_iam_member"):
            continue  # one table for six types; each has some of the names
        named = [
            *rules.force_new, *rules.defaults, *rules.enums, *rules.patterns, *rules.ranges,
            *rules.longest, *rules.computed_blocks, *rules.same, *rules.json, *rules.sensitive,
            *(name for pair in rules.conflicts for name in pair),
            *(f"{block}.{name}".strip(".") for block, names in rules.exactly_one for name in names),
        ]  # fmt: skip
        for name in named:
            block: dict[str, Any] = resource_block(type_name)
            *outer, last = name.split(".")
            for part in outer:
                if part in block.get("block_types", {}):
                    block = block["block_types"][part]["block"]
                else:
                    assert block["attributes"][part]["type"][0] == "map", (type_name, name)
                    block = {"attributes": {last: {}}}
            known = {**block.get("attributes", {}), **block.get("block_types", {})}
            assert last in known, (type_name, name)
