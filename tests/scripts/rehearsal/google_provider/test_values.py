"""Values on the wire, planning and the world, each by itself."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

import pytest

from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.protocol.plugin import handshake
from scripts.rehearsal.google_provider.rules.planning import plan
from scripts.rehearsal.google_provider.rules.resource_rules import (
    same_duration,
    same_json,
    same_link,
)
from scripts.rehearsal.google_provider.schema.snapshot import resource_block
from scripts.rehearsal.google_provider.schema.values import UNKNOWN, decode, encode, leaves
from scripts.rehearsal.google_provider.world import World


def configuration(type_name: str, **given: Any) -> dict[str, Any]:
    """A configuration as Terraform sends it: every argument there, null where not set."""
    block = resource_block(type_name)
    nothing: dict[str, Any] = dict.fromkeys(block["attributes"])
    nothing |= {
        name: None if nested["nesting_mode"] == "single" else []
        for name, nested in block.get("block_types", {}).items()
    }
    return {**nothing, **given}


def test_values_survive_the_wire() -> None:
    value = {"a": [1, 2.5, None, UNKNOWN, {"b": True}], "c": "ä"}
    assert decode(encode(value)) == value
    assert decode(b"") is None
    assert decode(b"\xc7\x03\x0c\x81\x01\xc3") is UNKNOWN  # unknown, refined to "not null"
    with pytest.raises(TypeError, match="no Terraform value"):
        encode(object())


def test_leaves_go_through_blocks() -> None:
    value = {"rule": [{"age": 1}, {"age": None}], "later": UNKNOWN, "none": None}
    assert list(leaves(value, "rule.age")) == [(("rule", 0, "age"), 1)]
    assert list(leaves(value, "later.x")) == [(("later",), UNKNOWN)]
    assert list(leaves(value, "none.x")) == []


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
    _, found = plan("google_storage_bucket", {**config, **changed}, prior, "p")
    assert found == replaced


def test_same_values_are_told_from_changes() -> None:
    assert same_duration("7d", "604800s")
    assert not same_duration("7d", "8d")
    assert not same_duration("soon", "7d")
    assert same_link("https://www.googleapis.com/compute/v1/projects/p/x", "projects/p/x")
    assert same_json('{"a": [1, {"b": 2, "server": 3}], "etag": "x"}', '{"a": [1, {"b": 2}]}')
    assert not same_json('{"a": [1]}', '{"a": [1, 2]}')


def test_world_is_changed_by_one_at_a_time(tmp_path: Path) -> None:
    """Forty threads count to forty, each through a lock of its own."""
    world = World(tmp_path / "world.json")

    def count() -> None:
        with world.open() as contents:
            contents["existing"].append("one")

    threads = [threading.Thread(target=count) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.read()["existing"]) == 40


def test_world_stays_as_it_was_when_a_change_fails(tmp_path: Path) -> None:
    world = World(tmp_path / "world.json")
    with pytest.raises(RuntimeError), world.open() as contents:
        contents["existing"].append("half")
        raise RuntimeError
    assert world.read()["existing"] == []


def test_handshake_is_read_by_terraform_whatever_the_certificates_length() -> None:
    """go-plugin decodes base64 without padding; a padded line fails in one start of a few."""
    for length in (300, 301, 302):
        line = handshake(4321, b"x" * length)
        assert line.startswith("1|6|tcp|127.0.0.1:4321|grpc|")
        encoded = line.rpartition("|")[2]
        assert "=" not in encoded
        assert base64.b64decode(encoded + "=" * (-len(encoded) % 4)) == b"x" * length


def test_stand_in_writes_nowhere_but_here() -> None:
    with pytest.raises(ValueError, match="not on this machine"):
        Objects("https://storage.googleapis.com")
