"""Loading trusts a checkpoint by its digest, reads weights only, and names every kind of fault."""

import dataclasses
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from serving.sam.architectures import VIT_B, VIT_TINY
from serving.sam.checkpoints import file_sha256, load_checkpoint
from serving.sam.errors import CheckpointError
from serving.sam.known_checkpoints import CheckpointEntry

SMALL = dataclasses.replace(
    VIT_TINY, image_size=64, encoder_width=32, encoder_depth=2, encoder_heads=2, window_size=4,
    global_blocks=(1,), embedding_channels=32, decoder_heads=1, decoder_mlp=16, iou_hidden=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(SMALL.build().state_dict())


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def test_load_checkpoint_unknown_file_takes_the_architecture_of_its_shapes(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    loaded = load_checkpoint(saved(tmp_path / "mine.pth", weights))
    assert loaded.architecture == SMALL
    assert loaded.name == "mine"
    assert not loaded.sam.training
    for name, value in loaded.sam.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert loaded.sam.pixel_mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])


@pytest.mark.parametrize("wrapper", ["model", "state_dict"])
def test_load_checkpoint_wrapped_half_precision_weights_become_float32(
    tmp_path: Path, weights: dict[str, torch.Tensor], wrapper: str
) -> None:
    half = {name: value.half() for name, value in weights.items()}
    loaded = load_checkpoint(saved(tmp_path / "half.pth", {wrapper: half, "step": 3}))
    assert {value.dtype for value in loaded.sam.state_dict().values()} == {torch.float32}


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/sam-checkpoint-ran-code",)


def _truncated(path: Path, weights: dict[str, torch.Tensor]) -> None:
    saved(path, weights)
    path.write_bytes(path.read_bytes()[:5000])


def _renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"module.{name}": value for name, value in weights.items()}


def _without(weights: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in weights.items() if key != name}


BAD: dict[str, tuple[Any, str]] = {
    "missing": (lambda path, w: None, "no such checkpoint file"),
    "folder": (lambda path, w: path.mkdir(), "found a folder"),
    "empty": (lambda path, w: path.write_bytes(b""), "empty"),
    "html": (lambda path, w: path.write_text("\n<!DOCTYPE html><html>Not found"), "HTML"),
    "text": (lambda path, w: path.write_text("hello there, no weights"), "not a "),
    "truncated": (_truncated, "may be truncated"),
    "code": (lambda path, w: saved(path, {"a": Malicious()}), "could run code"),
    "raw-pickle-code": (lambda path, w: path.write_bytes(pickle.dumps(Malicious())), "run code"),
    "not-weights": (lambda path, w: saved(path, [1, 2]), "expected a state dict"),
    "not-sam": (lambda path, w: saved(path, {"a.weight": torch.ones(2)}), "not those of a Segment"),
    "prefixed": (lambda path, w: saved(path, _renamed(w)), "not those of a Segment"),
    "incomplete": (
        lambda path, w: saved(path, _without(w, "mask_decoder.iou_token.weight")),
        "do not fit",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_load_checkpoint_bad_file_is_refused_with_its_own_message(
    tmp_path: Path, weights: dict[str, torch.Tensor], fault: str
) -> None:
    make, reason = BAD[fault]
    path = tmp_path / "bad.pth"
    make(path, weights)
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))
    assert not Path("/tmp/sam-checkpoint-ran-code").exists()


def entry_for(path: Path, **changes: Any) -> CheckpointEntry:
    values: dict[str, Any] = {
        "name": "known",
        "file_name": path.name,
        "size_bytes": path.stat().st_size,
        "sha256": file_sha256(path),
        "url": "http://127.0.0.1/",
        "architecture": SMALL,
        "summary": "",
    }
    return CheckpointEntry(**{**values, **changes})


def test_load_checkpoint_known_file_is_verified_before_it_is_opened(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    path = saved(tmp_path / "known.pth", weights)
    assert load_checkpoint(path, entry_for(path)).name == "known"
    with pytest.raises(CheckpointError, match=r"truncated: known has \d+ bytes"):
        load_checkpoint(path, entry_for(path, size_bytes=path.stat().st_size + 1))
    with pytest.raises(CheckpointError, match="SHA-256 is"):
        load_checkpoint(path, entry_for(path, sha256="0" * 64))
    with pytest.raises(CheckpointError, match="not of the known architecture"):
        load_checkpoint(path, entry_for(path, architecture=VIT_B))


def test_load_checkpoint_own_weights_under_a_published_name_are_refused(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(CheckpointError, match="truncated: vit_b has 375042383 bytes"):
        load_checkpoint(saved(tmp_path / "sam_vit_b_01ec64.pth", weights))
