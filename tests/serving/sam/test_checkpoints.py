"""Loading trusts a checkpoint by its digest, reads weights only, and names every kind of fault."""

import dataclasses
import os
import pickle
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

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


# Below which keys, and with which prefix, training code keeps the weights of a network.
WRAPPED = {
    "MedSAM's train_multi_gpus.py": (["model"], "module."),
    "torch_em, as micro-sam trains": (["model_state"], "sam."),
    "Lightning": (["state_dict"], "model."),
    "PyTorch's tutorial, compiled": (["model_state_dict"], "_orig_mod."),
    "twice": (["state_dict", "model"], "module.sam."),
    "bare": ([], ""),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_load_checkpoint_takes_the_weights_out_of_what_training_saves(
    tmp_path: Path, weights: dict[str, torch.Tensor], kind: str
) -> None:
    keys, prefix = WRAPPED[kind]
    content: Any = {f"{prefix}{name}": value.half() for name, value in weights.items()}
    for key in reversed(keys):
        content = {"epoch": 3, "optimizer": {"state": {0: {"step": 7}}, "lr": [0.1]}, key: content}
    loaded = load_checkpoint(saved(tmp_path / "half.pth", content))
    for name, value in loaded.sam.state_dict().items():
        assert torch.equal(value, weights[name].half().float()), name


# The first byte of the header's length, which may be that of a pickle.
@pytest.mark.parametrize("start", [0x80, 0x08])
def test_load_checkpoint_reads_safetensors(
    tmp_path: Path, weights: dict[str, torch.Tensor], start: int
) -> None:
    named = {f"module.{name}": value.contiguous() for name, value in weights.items()}
    path = tmp_path / "mine.safetensors"
    for spaces in range(0, 2048, 8):
        save_file(named, path, {"note": "x" * spaces})
        if path.read_bytes()[0] == start:
            break
    else:
        pytest.fail("no header of that length")
    loaded = load_checkpoint(path)
    assert loaded.name == "mine"
    path.write_bytes(bytes(path.stat().st_size))  # what was read is no view of the file
    for name, value in loaded.sam.state_dict().items():
        assert torch.equal(value, weights[name]), name


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/sam-checkpoint-ran-code",)


def _truncated(path: Path, weights: dict[str, torch.Tensor]) -> None:
    saved(path, weights)
    path.write_bytes(path.read_bytes()[:5000])


def _truncated_safetensors(path: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, path)
    path.write_bytes(path.read_bytes()[:-5000])


def _renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"student.{name}": value for name, value in weights.items()}


def _without(weights: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in weights.items() if key != name}


NORM = "image_encoder.blocks.0.norm1.weight"


def _with(weights: dict[str, torch.Tensor], number: float) -> dict[str, torch.Tensor]:
    changed = weights[NORM].clone()
    changed[3] = number
    return {**weights, NORM: changed}


def _narrow(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Embedding channels that the mask decoder's heads do not divide."""
    return {**weights, "image_encoder.neck.0.weight": torch.ones(97, 32, 1, 1)}


def _program(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("constants.pkl", b"\x80\2)."), ("version", b"3\n")):
            archive.writestr(f"program/{name}", content)


BAD: dict[str, tuple[Any, str]] = {
    "missing": (lambda path, w: None, "no such checkpoint file"),
    "folder": (lambda path, w: path.mkdir(), "found a folder"),
    "empty": (lambda path, w: path.write_bytes(b""), "empty"),
    "html": (lambda path, w: path.write_text("\n<!DOCTYPE html><html>Not found"), "HTML"),
    "text": (
        lambda path, w: path.write_text("hello there, no weights"),
        "neither a PyTorch",
    ),
    "jpeg": (lambda path, w: path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(90)), "a JPEG image"),
    "empty-safetensors": (
        lambda path, w: path.write_bytes(b"\2" + bytes(7) + b"{}"),
        "not those of a Segment",
    ),
    "truncated-safetensors": (_truncated_safetensors, "not a readable safetensors file"),
    "half-of-safetensors": (
        lambda path, w: save_file({"mask_decoder.iou_token.weight": torch.ones(1, 32)}, path),
        "not those of a Segment",
    ),
    "nan-in-safetensors": (
        lambda path, w: save_file(_with(w, float("nan")), path),
        f"{NORM!r} .*not finite",
    ),
    "whole-numbers-in-safetensors": (
        lambda path, w: save_file({**w, NORM: w[NORM].long()}, path),
        "found int64",
    ),
    "torchscript": (lambda path, w: _program(path), "a TorchScript program"),
    "truncated": (_truncated, "may be truncated"),
    "code": (lambda path, w: saved(path, {"a": Malicious()}), "could run code"),
    "raw-pickle-code": (lambda path, w: path.write_bytes(pickle.dumps(Malicious())), "more than"),
    "not-weights": (lambda path, w: saved(path, [1, 2]), "expected a state dict"),
    "not-sam": (lambda path, w: saved(path, {"a.weight": torch.ones(2)}), "not those of a Segment"),
    "prefixed": (lambda path, w: saved(path, _renamed(w)), "not those of a Segment"),
    "incomplete": (
        lambda path, w: saved(path, _without(w, "mask_decoder.iou_token.weight")),
        "missing parameter 'mask_decoder.iou_token.weight'",
    ),
    "nan": (lambda path, w: saved(path, _with(w, float("nan"))), f"{NORM!r} .*not finite"),
    "infinite": (lambda path, w: saved(path, _with(w, float("inf"))), f"{NORM!r} .*not finite"),
    "whole-numbers": (lambda path, w: saved(path, {**w, NORM: w[NORM].long()}), r"found int64"),
    "sparse": (lambda path, w: saved(path, {**w, NORM: w[NORM].to_sparse()}), "sparse_coo"),
    "one-for-many": (lambda path, w: saved(path, {**w, NORM: torch.ones(1).expand(32)}), "stands"),
    "other-shape": (lambda path, w: saved(path, {**w, NORM: torch.ones(8)}), r"shape \(8,\)"),
    "surplus": (lambda path, w: saved(path, {**w, "extra": torch.ones(1)}), "unknown parameter"),
    "no-heads": (
        lambda path, w: saved(path, _narrow(w)),
        "cannot be built|not those of|do not fit",
    ),
    "endless-decoder": (
        lambda path, w: saved(path, {**w, "mask_decoder.transformer.layers.3000.x": w[NORM]}),
        "without a gap",
    ),
    "endless-encoder": (
        lambda path, w: saved(path, {**w, f"image_encoder.blocks.{'9' * 5000}.x": w[NORM]}),
        "unknown parameter",
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


def _shuffled(weights: dict[str, torch.Tensor], random: Random) -> dict[str, torch.Tensor]:
    """The weights with one to five parameters changed in rank, shape, layout, type or name."""
    changed = dict(weights)
    for name in random.sample(sorted(weights), random.choice((1, 1, 2, 5))):
        value = weights[name]
        shape = [max(1, side + random.choice((-1, 1, 7))) for side in value.shape]
        kinds = (torch.int8, torch.bool, torch.complex64, torch.float64, torch.bfloat16)
        changed[name] = random.choice(
            (
                torch.zeros(()),
                torch.zeros(0),
                torch.zeros(shape),
                torch.ones([1] * value.dim()),
                value.flatten(),
                value.transpose(0, -1) if value.dim() > 1 else value[None],
                value.to(random.choice(kinds)),
                value.to_sparse(),
            )
        )
        if random.random() < 0.1:
            changed[random.choice((f"{name}.more", "", "pixel_mean"))] = changed.pop(name)
    return changed


def test_load_checkpoint_shuffled_weights_load_right_or_are_refused(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    """No other error, and what loads has the architecture's own names, shapes and layout."""
    random = Random(5)
    outcomes = {"loaded": 0, "refused": 0}
    for number in range(150):
        path = saved(tmp_path / f"{number}.pth", _shuffled(weights, random))
        try:
            loaded = load_checkpoint(path)
        except CheckpointError:
            outcomes["refused"] += 1
        else:
            outcomes["loaded"] += 1
            assert loaded.architecture == SMALL
            for value in loaded.sam.state_dict().values():
                assert value.dtype == torch.float32 and value.is_contiguous()
        path.unlink()
    assert outcomes["loaded"] >= 3 and outcomes["refused"] >= 100
