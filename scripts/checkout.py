"""This checkout: where it lies, and what its stacks are called."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
PLATFORM, SERVING = "sam-platform", "sam-serving"
STACKS = (PLATFORM, SERVING)
