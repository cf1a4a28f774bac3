"""Which checkpoint the server takes from a folder of artifacts."""

from __future__ import annotations

import pytest

from serving.artifacts import choose_checkpoint
from serving.errors import ArtifactsError


@pytest.mark.parametrize(
    ("names", "requested", "chosen"),
    [
        (["a.pth"], "", "a.pth"), (["a.pth", "notes.txt"], "", "a.pth"), (["a.pt"], "", "a.pt"),
        (["a.pth", "b.pth"], "b.pth", "b.pth"), (["a.pth", "b.pth"], "", None), ([], "", None),
        (["a.pth"], "b.pth", None), (["x/a.pth"], "", None),
    ],
)  # fmt: skip
def test_the_checkpoint_of_a_folder(names: list[str], requested: str, chosen: str | None) -> None:
    sizes = dict.fromkeys(names, 1)
    if chosen is None:
        with pytest.raises(ArtifactsError, match="folder"):
            choose_checkpoint(sizes, requested, "folder")
    else:
        assert choose_checkpoint(sizes, requested, "folder") == chosen
