"""The world takes one change after the other, and only whole ones."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from scripts.rehearsal.google_provider.world import World


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
