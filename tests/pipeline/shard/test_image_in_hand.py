"""The last note of a process says which image it worked on."""

from __future__ import annotations

from pathlib import Path

from pipeline.shard.image_in_hand import InHand, LastNote, read_last_note


def test_last_note_tells_image_and_whether_it_was_alone(tmp_path: Path) -> None:
    path = tmp_path / "note"
    assert read_last_note(path) == LastNote()
    in_hand = InHand(path, run_alone=1)
    in_hand.begin("a")
    assert read_last_note(path) == LastNote("a", 0, alone=True)
    in_hand.finish()
    assert read_last_note(path) == LastNote("", 1, alone=False)
    path.write_text('{"image": "a", "fini')
    assert read_last_note(path) == LastNote()
