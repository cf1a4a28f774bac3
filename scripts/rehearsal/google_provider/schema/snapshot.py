"""The schema snapshot, read from disk."""

from __future__ import annotations

import functools
import json
from typing import Any

from scripts.rehearsal.google_provider.schema.bundle import ADDRESS, SCHEMA_PATH

Block = dict[str, Any]  # "attributes" and "block_types", as ``terraform providers schema -json``


@functools.cache
def snapshot() -> dict[str, Any]:
    """The provider's part of the snapshot."""
    return dict(json.loads(SCHEMA_PATH.read_text("utf-8"))["provider_schemas"][ADDRESS])


def resource_block(type_name: str) -> Block:
    """The block of a resource type."""
    return dict(snapshot()["resource_schemas"][type_name]["block"])
