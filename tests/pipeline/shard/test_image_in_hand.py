"""The last note of a process says which image it worked on."""

from __future__ import annotations

from pathlib import Path

from pipeline.shard.image_in_hand import InHand, LastNote, read_last_note, read_stored_note
from serving.storage import open_folder


def test_last_note_tells_image_and_whether_it_was_alone(tmp_path: Path) -> None:
    path = tmp_path / "note"
    assert read_last_note(path) == LastNote()
    output = open_folder(str(tmp_path / "out"))
    in_hand = InHand(path, output, "shard-0000", run_alone=1)
    in_hand.begin("a")
    assert read_last_note(path) == LastNote("a", 0, alone=True)
    in_hand.finish(computed=False)
    assert read_last_note(path) == LastNote("", 0, alone=True), "a failed image is no progress"
    in_hand.begin("b")
    in_hand.finish(computed=True)
    assert read_last_note(path) == LastNote("", 1, alone=False)
    path.write_text('{"image": "a", "fini')
    assert read_last_note(path) == LastNote()


def test_note_of_an_image_taken_alone_outlives_the_machine(tmp_path: Path) -> None:
    """The output has it too, for the step that takes over on another machine."""
    output = open_folder(str(tmp_path / "out"))
    assert read_stored_note(output, "shard-0000") == LastNote()
    in_hand = InHand(tmp_path / "note", output, "shard-0000", run_alone=1)
    in_hand.begin("a")
    assert read_stored_note(output, "shard-0000") == LastNote("a", 0, alone=True)
    in_hand.finish(computed=True)
    in_hand.begin("b")  # no longer alone, so the output is not asked to hold a note an image
    assert read_stored_note(output, "shard-0000") == LastNote("a", 0, alone=True)
