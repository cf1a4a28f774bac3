"""The form of rules beyond the schema, and when two values are the same to the service."""

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
        same: tells by an argument's name whether an old and a new value mean the same.
        json: strings that hold JSON.
        sensitive: values that Terraform must not show.
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
        match = re.fullmatch(r"([\d.]+)([smhd])", str(text))
        units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
        return float(match[1]) * units[match[2]] if match else None

    return old == new or (seconds(old) is not None and seconds(old) == seconds(new))


def same_link(old: Any, new: Any) -> bool:
    """Equal as a resource: a self link and its relative name."""

    def relative(link: Any) -> str:
        return re.sub(r"^https://[^/]+/(compute/)?v\d+/", "", str(link))

    return relative(old) == relative(new)


def same_json(old: Any, new: Any) -> bool:
    """Every key of the configuration is in the stored document; the service may add more."""

    def within(part: Any, whole: Any) -> bool:
        if isinstance(part, dict) and isinstance(whole, dict):
            return all(key in whole and within(value, whole[key]) for key, value in part.items())
        if isinstance(part, list) and isinstance(whole, list):
            return len(part) == len(whole) and all(map(within, part, whole))
        return bool(part == whole)

    return within(json.loads(new), json.loads(old))
