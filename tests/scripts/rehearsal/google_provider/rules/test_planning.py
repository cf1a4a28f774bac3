"""What is unknown in a plan, and what forces a replacement."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.rehearsal.google_provider.rules.planning import plan
from scripts.rehearsal.google_provider.schema.snapshot import resource_block
from scripts.rehearsal.google_provider.schema.values import UNKNOWN


def configuration(type_name: str, **given: Any) -> dict[str, Any]:
    """A configuration as Terraform sends it: every argument there, null where not set."""
    block = resource_block(type_name)
    nothing: dict[str, Any] = dict.fromkeys(block["attributes"])
    nothing |= {
        name: None if nested["nesting_mode"] == "single" else []
        for name, nested in block.get("block_types", {}).items()
    }
    return {**nothing, **given}


def test_new_resource_has_unknowns_where_the_service_answers() -> None:
    planned, replaced = plan(
        "google_storage_bucket", configuration("google_storage_bucket", name="b", location="eu"),
        None, "my-project",
    )  # fmt: skip
    assert planned["self_link"] is UNKNOWN
    assert planned["soft_delete_policy"] is UNKNOWN
    assert (planned["storage_class"], planned["project"]) == ("STANDARD", "my-project")
    assert planned["effective_labels"] == {"goog-terraform-provisioned": "true"}
    assert replaced == []


@pytest.mark.parametrize(
    ("changed", "replaced"),
    [
        pytest.param({"location": "EU"}, [], id="case of the location"),
        pytest.param({"location": "us"}, [("location",)], id="another location"),
        pytest.param({"storage_class": "NEARLINE"}, [], id="in place"),
        pytest.param({"name": UNKNOWN}, [("name",)], id="not known yet"),
    ],
)
def test_change_replaces_only_where_forced(
    changed: dict[str, Any], replaced: list[tuple[str, ...]]
) -> None:
    config = configuration("google_storage_bucket", name="b", location="eu")
    prior, _ = plan("google_storage_bucket", config, None, "p")
    prior = {name: None if value is UNKNOWN else value for name, value in prior.items()}
    _, paths = plan("google_storage_bucket", {**config, **changed}, prior, "p")
    assert paths == replaced
