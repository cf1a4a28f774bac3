"""Refuse a configuration that the real provider would refuse before planning."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from scripts.rehearsal.google_provider.rules.rulebook import RULES
from scripts.rehearsal.google_provider.schema.snapshot import Block, resource_block
from scripts.rehearsal.google_provider.schema.values import UNKNOWN, Path, leaves

LABEL = r"[a-z][a-z0-9_-]{0,62}"
LABELLED = ("labels", "user_labels")


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and at which attribute."""

    path: Path
    summary: str
    detail: str = ""


def check_configuration(type_name: str, config: dict[str, Any]) -> list[Problem]:
    """Everything wrong with a resource's configuration; unknown values pass."""
    rules = RULES[type_name]
    problems: list[Problem] = []

    def refuse(path: Path, summary: str, detail: str = "") -> None:
        problems.append(Problem(path, summary, detail))

    for name, allowed in rules.enums.items():
        for path, value in leaves(config, name):
            if value is not UNKNOWN and value not in allowed:
                refuse(path, f"expected {name} to be one of {list(allowed)}, got {value}")
    for name, pattern in rules.patterns.items():
        for path, value in leaves(config, name):
            if value is not UNKNOWN and not re.fullmatch(pattern, value, re.DOTALL):
                refuse(path, f'"{name}" ("{value}") doesn\'t match regexp "{pattern}"')
    for name, (lowest, highest) in rules.ranges.items():
        for path, value in leaves(config, name):
            if value is not UNKNOWN and not lowest <= float(value) <= highest:
                refuse(path, f"expected {name} to be in the range ({lowest} - {highest})")
    for name, longest in rules.longest.items():
        for path, value in leaves(config, name):
            if value is not UNKNOWN and len(value) > longest:
                refuse(path, f"{name}: at most {longest}, got {len(value)}")
    for first, second in rules.conflicts:
        if _is_set(config, first) and _is_set(config, second):
            refuse((first.split(".")[0],), "Conflicting configuration arguments",
                   f'"{first}": conflicts with {second}')  # fmt: skip
    for block, names in rules.exactly_one:
        for path, inner in leaves(config, block):
            present = [name for name in names if _is_set(inner, name)]
            if inner is not UNKNOWN and inner != [] and len(present) != 1:
                refuse(path, "Invalid combination of arguments",
                       f"one of `{','.join(names)}` must be specified, got {present}")  # fmt: skip
    for name in rules.json:
        for path, value in leaves(config, name):
            if value is not UNKNOWN and not _is_json(value):
                refuse(path, f'"{name}" contains an invalid JSON')
    for name in LABELLED:
        labels = config.get(name)
        for key in labels if isinstance(labels, dict) and "channel" not in type_name else ():
            if not re.fullmatch(LABEL, key):
                refuse((name,), f'"{name}" has an invalid key "{key}"')
    problems.extend(_unconfigurable(resource_block(type_name), config, ()))
    problems.extend(_special(type_name, config))
    return problems


def _unconfigurable(block: Block, config: Any, path: Path) -> list[Problem]:
    """Values for what only the service decides."""
    problems = []
    for name, attribute in block.get("attributes", {}).items():
        decided = not (attribute.get("optional") or attribute.get("required"))
        if decided and config.get(name) is not None:
            detail = (
                f'Can\'t configure a value for "{name}": its value will be decided automatically'
            )
            problems.append(Problem((*path, name), "Value for unconfigurable attribute", detail))
    for name, nested in block.get("block_types", {}).items():
        inner = config.get(name)
        items = enumerate(inner) if isinstance(inner, list) else [(None, inner)]
        for number, item in items:
            if isinstance(item, dict):
                item_path = (*path, name) if number is None else (*path, name, number)
                problems.extend(_unconfigurable(nested["block"], item, item_path))
    return problems


def _is_set(config: Any, name: str) -> bool:
    return any(value not in (False, [], {}, "") for _, value in leaves(config, name))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _special(type_name: str, config: dict[str, Any]) -> list[Problem]:
    """The few rules that no table can hold."""
    problems = []
    if type_name == "google_storage_bucket":
        name = "soft_delete_policy.retention_duration_seconds"
        for path, value in leaves(config, name):
            if value is not UNKNOWN and value != 0 and not 604_800 <= value <= 7_776_000:
                problems.append(Problem(path, f"expected {name} to be 0 or 604800 - 7776000"))
    if type_name == "google_artifact_registry_repository":
        for policy in config.get("cleanup_policies") or []:
            newest = policy is not UNKNOWN and policy["most_recent_versions"]
            if newest and policy["action"] == "DELETE":
                message = "most_recent_versions may only be specified with a Keep action"
                problems.append(Problem(("cleanup_policies",), message))
    if type_name == "google_kms_crypto_key":
        period = config.get("rotation_period")
        timed = isinstance(period, str) and re.fullmatch(r"[\d.]+s", period)
        if timed and float(str(period)[:-1]) < 86_400:
            problems.append(Problem(("rotation_period",), "rotation_period is below 86400s"))
    return problems
