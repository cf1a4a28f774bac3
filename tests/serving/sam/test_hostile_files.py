"""Every file of the hostile corpus is refused by name, or is the image that it says."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from serving.sam.checkpoints import load_checkpoint
from serving.sam.errors import CheckpointError, ImageError, PromptError
from serving.sam.images import decode_image, header_pixels, read_size
from serving.sam.prompts_file import parse_prompts_file
from tests.hostile import FOLDER, KINDS, files

GOOD = {  # odd, and images all the same
    "flat-88-megapixels.png", "one-pixel.png", "orientation-99.jpg", "exif-is-noise.jpg",
    "profile-is-noise.jpg", "cmyk.jpg", "wider-than-high.png", "upside-down.bmp",
    "pixels-are-a-bomb.png", "colours-without-palette.png",
}  # fmt: skip


def test_the_corpus_is_whole_and_small() -> None:
    for kind, made in KINDS.items():
        assert {path.name for path in files(kind)} == set(made())
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 300_000


@pytest.mark.parametrize("path", files("images"), ids=lambda path: path.name)
def test_a_hostile_image_is_refused_by_name_in_little_memory(path: Path) -> None:
    data = path.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    header_pixels(data)
    try:
        width, height = read_size(data, path.name)
        pixels = decode_image(data, path.name)
    except ImageError as error:
        assert path.name not in GOOD
        assert str(error).startswith(f"{path.name}: ")
    else:
        assert path.name in GOOD
        assert pixels.shape == (height, width, 3)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    assert grown < (700 if path.name == "flat-88-megapixels.png" else 100)  # MB


@pytest.mark.parametrize("path", files("prompts"), ids=lambda path: path.name)
def test_a_hostile_prompts_file_is_refused(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    with pytest.raises(PromptError) as caught:
        for prompts in parse_prompts_file(text).values():
            for prompt in prompts:
                prompt.check_inside(100, 100, "prompt")
        raise (
            PromptError("the text is no UTF-8") if "\udcff" in text else AssertionError("accepted")
        )
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("path", files("checkpoints"), ids=lambda path: path.name)
def test_a_hostile_checkpoint_is_refused_and_runs_nothing(path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))
    assert not Path("/tmp/sam-hostile-ran").exists()
