"""Terraform values on the wire: MessagePack with one extension for what is not known yet.

Wire format: https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol
("Type system", "Schema elements"); an unknown value is extension type 0, a refined one type 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack


class _Unknown:
    """A value that Terraform knows only after apply."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
Path = tuple[str | int, ...]  # attribute names, and positions in lists


def decode(data: bytes) -> Any:
    """The Python value of an encoded one; ``None`` for null and for no data."""
    if not data:
        return None

    def extension(code: int, _payload: bytes) -> Any:
        return UNKNOWN

    return msgpack.unpackb(data, ext_hook=extension, strict_map_key=False)


def encode(value: Any) -> bytes:
    """The encoded form of a Python value."""

    def extension(item: Any) -> Any:
        if isinstance(item, _Unknown):
            return msgpack.ExtType(0, b"\x00")
        raise TypeError(f"{item!r} is no Terraform value")

    packed: bytes = msgpack.packb(value, default=extension)
    return packed


def leaves(value: Any, dotted: str, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that a dotted name means, with its exact path, in every block of a list.

    A block that is absent has no leaf, one that is unknown is a leaf itself.
    """
    if value is None:
        return
    if not dotted or isinstance(value, _Unknown):
        yield path, value
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, dotted, (*path, number))
    else:
        name, _, rest = dotted.partition(".")
        yield from leaves(value.get(name), rest, (*path, name))


def first(value: Any, dotted: str) -> Any:
    """The first value that a dotted name means, or ``None``."""
    return next((leaf for _, leaf in leaves(value, dotted)), None)


def known(value: Any) -> bool:
    """Whether nothing inside is unknown."""
    if isinstance(value, dict):
        return all(known(item) for item in value.values())
    if isinstance(value, list):
        return all(known(item) for item in value)
    return not isinstance(value, _Unknown)
