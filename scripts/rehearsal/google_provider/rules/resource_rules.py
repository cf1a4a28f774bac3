"""What a rule beyond the schema looks like, and when two values are the same to the service."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules of one resource type.

    Attributes:
        force_new: a change of any of these replaces the resource.
        defaults: what an argument is when nobody sets it.
        enums: allowed values.
        patterns: regular expressions that a value must match entirely.
        ranges: lowest and highest number.
        longest: most characters of a string, or items of a list.
        conflicts: pairs that exclude each other.
        exactly_one: groups of which one and only one is set, each with the block it is inside.
        computed_blocks: blocks that the service fills where the configuration leaves them out.
        same: changes that are none, by name.
        json: strings that hold JSON.
        sensitive: values that are not shown.
    """

    force_new: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    enums: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    patterns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    longest: Mapping[str, int] = dataclasses.field(default_factory=dict)
    conflicts: tuple[tuple[str, str], ...] = ()
    exactly_one: tuple[tuple[str, tuple[str, ...]], ...] = ()
    computed_blocks: tuple[str, ...] = ()
    same: Mapping[str, Callable[[Any, Any], bool]] = dataclasses.field(default_factory=dict)
    json: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()


def same_case(old: Any, new: Any) -> bool:
    """Equal but for upper and lower case."""
    return str(old).lower() == str(new).lower()


def same_duration(old: Any, new: Any) -> bool:
    """Equal as a time: ``7d`` and ``604800s``."""

    def seconds(text: Any) -> float | None:
        found = re.fullmatch(r"([\d.]+)([smhd])", str(text))
        units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
        return float(found[1]) * units[found[2]] if found else None

    return old == new or (seconds(old) is not None and seconds(old) == seconds(new))


def same_link(old: Any, new: Any) -> bool:
    """Equal as a resource: a self link and its relative name."""

    def relative(link: Any) -> str:
        return re.sub(r"^https://[^/]+/(compute/)?v\d+/", "", str(link))

    return relative(old) == relative(new)


def same_json(old: Any, new: Any) -> bool:
    """Every key of the configuration is in the stored document; the service may add more."""

    def within(wanted: Any, found: Any) -> bool:
        if isinstance(wanted, dict) and isinstance(found, dict):
            return all(key in found and within(value, found[key]) for key, value in wanted.items())
        if isinstance(wanted, list) and isinstance(found, list):
            return len(wanted) == len(found) and all(map(within, wanted, found))
        return bool(wanted == found)

    return within(json.loads(new), json.loads(old))
