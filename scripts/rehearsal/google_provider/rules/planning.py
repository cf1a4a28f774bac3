"""What a change would make of a resource, and whether the provider would replace it.

The rules are those of the provider's SDK (terraform-plugin-sdk, ``helper/schema``): an argument is
what the configuration says, else its default; a computed one keeps its value, or is known only
after apply when the resource is new; a change of a ForceNew argument replaces the resource.
"""

from __future__ import annotations

from typing import Any

from scripts.rehearsal.google_provider.rules.resource_rules import Rules
from scripts.rehearsal.google_provider.rules.rulebook import RULES
from scripts.rehearsal.google_provider.schema.snapshot import Block, resource_block
from scripts.rehearsal.google_provider.schema.values import UNKNOWN, Path, leaves

ATTRIBUTION = {"goog-terraform-provisioned": "true"}


def plan(
    type_name: str,
    config: dict[str, Any],
    prior: dict[str, Any] | None,
    project: str | None,
) -> tuple[dict[str, Any], list[Path]]:
    """The planned state, and the attributes whose change replaces the resource.

    Args:
        type_name: e.g. ``google_storage_bucket``.
        config: the configuration, with nulls and unknowns.
        prior: the state as it is, or ``None`` for a new resource.
        project: the provider's own project.
    """
    rules = RULES[type_name]
    planned = _block(resource_block(type_name), rules, config, prior, "")
    if planned.get("project") is UNKNOWN and project:
        planned["project"] = project
    if "terraform_labels" in planned:
        labels = config.get("labels")
        everything = UNKNOWN if labels is UNKNOWN else {**ATTRIBUTION, **(labels or {})}
        planned["terraform_labels"] = planned["effective_labels"] = everything
    replaced = _replacing(rules, planned, prior) if prior is not None else []
    return planned, replaced


def _block(
    block: Block, rules: Rules, config: dict[str, Any], prior: dict[str, Any] | None, path: str
) -> dict[str, Any]:
    planned: dict[str, Any] = {}
    for name, attribute in block.get("attributes", {}).items():
        configured, before = config.get(name), (prior or {}).get(name)
        if configured is not None:
            known = before is not None and configured is not UNKNOWN
            same = rules.same.get(path + name)
            unchanged = known and same is not None and same(before, configured)
            planned[name] = before if unchanged else configured
        elif path + name in rules.defaults:
            planned[name] = rules.defaults[path + name]
        elif attribute.get("computed"):
            planned[name] = before if prior is not None else UNKNOWN
        else:
            planned[name] = None
    for name, nested in block.get("block_types", {}).items():
        planned[name] = _nested(
            nested, rules, config.get(name), (prior or {}).get(name), path, name
        )
        absent = planned[name] == [] and path + name in rules.computed_blocks
        if absent:
            planned[name] = UNKNOWN if prior is None else prior[name]
    return planned


def _nested(
    nested: dict[str, Any], rules: Rules, configured: Any, before: Any, path: str, name: str
) -> Any:
    inner = f"{path}{name}."
    if configured is UNKNOWN or configured is None:
        is_value = configured is UNKNOWN or nested["nesting_mode"] == "single"
        return configured if is_value else []
    if nested["nesting_mode"] == "single":
        return _block(nested["block"], rules, configured, before, inner)
    before = before if isinstance(before, list) else []
    if nested["nesting_mode"] == "set":
        # Elements of a set have no position; an id, where they have one, tells which is which.
        earlier = {item.get("id"): item for item in before}
        pairs = [(item, earlier.get(item.get("id"))) for item in configured]
    else:
        pairs = [
            (item, before[i] if i < len(before) else None) for i, item in enumerate(configured)
        ]
    return [
        item if item is UNKNOWN else _block(nested["block"], rules, item, earlier, inner)
        for item, earlier in pairs
    ]


def _replacing(rules: Rules, planned: dict[str, Any], prior: dict[str, Any]) -> list[Path]:
    changed: list[Path] = []
    for name in rules.force_new:
        before, after = dict(leaves(prior, name)), dict(leaves(planned, name))
        for path in [*after, *(path for path in before if path not in after)]:
            if before.get(path) != after.get(path):
                # A path that only one of both has is named by the block that came or went.
                shared = path if path in before and path in after else path[:1]
                if shared not in changed:
                    changed.append(shared)
    return changed
