"""Quantities as people say them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds as seconds, minutes, hours or days."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    if seconds < 100 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def amount(value: float, unit: str) -> str:
    """A count as it is; ``bytes`` in megabytes."""
    return f"{value / 1e6:.1f} MB" if unit == "bytes" else f"{value:.0f}"
