"""``serving.sam`` offers what a user needs by short names, and loads nothing before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import serving.sam
from scripts.checkpoints.cache import resolve_checkpoint
from serving.sam import AutomaticSettings, Engine, Prompt, load_checkpoint, load_image
from serving.sam.errors import CheckpointError, ImageError
from serving.sam.known_checkpoints import CHECKPOINTS
from tests.conftest import draw_scene


def test_every_public_name_can_be_imported_and_no_other() -> None:
    assert sorted(serving.sam.__all__) == sorted(serving.sam._MODULES)
    for name in serving.sam.__all__:
        value = getattr(serving.sam, name)
        assert value.__module__.startswith("serving.sam."), name
    with pytest.raises(AttributeError, match="Nothing"):
        serving.sam.Nothing  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_loads_neither_torch_nor_numpy() -> None:
    program = (
        "import sys, serving.sam; "
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules), sys.modules; "
        "from serving.sam import AutomaticSettings, Engine, Prompt, load_checkpoint, load_image; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_example_of_the_documentation(tmp_path: Path) -> None:
    """A picture by its path or its bytes, one object by a click, and everything else."""
    from PIL import Image

    path = tmp_path / "apple.png"
    Image.fromarray(draw_scene(96, 64)).save(path)

    engine = Engine.load("vit_tiny", device="cpu")
    image = load_image(path)
    embedding = engine.embed(image)
    (record,) = engine.segment(embedding, [Prompt(points=((40, 30),), labels=(1,))])
    everything = engine.generate(image, AutomaticSettings(points_per_side=2))

    height, width = image.shape[:2]
    assert record["segmentation"]["size"] == [height, width]
    assert all(mask["segmentation"]["size"] == [height, width] for mask in everything)
    assert (load_image(path.read_bytes()) == image).all()
    assert (load_image(str(path)) == image).all()
    assert engine.checkpoint.sha256 == load_checkpoint("vit_tiny").sha256


def test_what_is_not_there_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match=r"none\.png: the file cannot be read"):
        load_image("none.png")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"vit_h is not .* checkpoint fetch vit_h"):
        load_checkpoint("vit_h")
    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        load_checkpoint("vit_z")
    Path("vit_tiny").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is empty"):
        load_checkpoint("vit_tiny")


def test_name_is_the_checkpoint_that_the_command_has_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies there is opened, and refused for what it is: no network of that name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fetched = CHECKPOINTS["vit_b"].path_here
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(b"")
    assert resolve_checkpoint("vit_b") == str(fetched)
    with pytest.raises(CheckpointError, match=rf"{fetched.name}: the checkpoint file is empty"):
        Engine.load("vit_b", device="cpu")
