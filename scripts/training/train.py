"""Train the embedded checkpoint from scratch, resumable at any moment.

The run is two stages: ``crops`` (128-pixel windows of scenes, four times cheaper a step) and
``whole`` (256-pixel scenes), each with its own learning rate that falls to nearly nothing at its
end. State is saved every few minutes and on SIGTERM/SIGINT; the same command goes on from there.

    python -m scripts.training.train --cutouts package/assets --work /tmp/training \\
        --stage crops --steps 6000
    python -m scripts.training.train --cutouts package/assets --work /tmp/training \\
        --stage whole --steps 1200 --export serving/sam/assets/sam_vit_tiny.pth
"""

from __future__ import annotations

import argparse
import copy
import math
import signal
import time
from pathlib import Path

from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

ensure_torchvision_ops()

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from segment_anything.modeling import Sam  # noqa: E402

from scripts.training import network  # noqa: E402
from scripts.training.prompts import (  # noqa: E402
    NEGATIVE,
    POSITIVE,
    Batch,
    stream,
)
from serving.sam.architectures import VIT_TINY  # noqa: E402
from serving.sam.checkpoints import file_sha256  # noqa: E402
from serving.sam.machine.allocator import keep_freed_memory  # noqa: E402

STAGES = {  # side in pixels, crops a batch, learning rates of Muon and AdamW
    "crops": (128, 16, 3e-3, 1e-3),
    "whole": (256, 4, 2e-3, 6e-4),
}
EMA = 0.998
WARM_UP_STEPS = 100
CORRECTIVE_EVERY = 8
SAVE_SECONDS = 120


def mask_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """20 x soft focal + dice of each mask.

    Args:
        logits: (..., H, W).
        targets: (..., H, W) coverage in 0-1; edges are fractional, hence the *soft* focal loss
            (quality focal loss, https://arxiv.org/abs/2006.04388, equation 1, with beta 2).

    Returns:
        Loss with the leading shape.
    """
    probability = logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    focal = (cross_entropy * (targets - probability).square()).mean((-2, -1))
    overlap = 2 * (probability * targets).sum((-2, -1)) + 1
    dice = 1 - overlap / (probability.sum((-2, -1)) + targets.sum((-2, -1)) + 1)
    return 20 * focal + dice


def mask_iou(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """IoU of each thresholded mask with its thresholded target; the leading shape."""
    found, wanted = logits > 0, targets > 0.5
    intersection = (found & wanted).sum((-2, -1))
    return intersection / (found | wanted).sum((-2, -1)).clamp(min=1)


def corrective_click(
    logits: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A click in the wrong region of each mask, at random: where it misses or spills over.

    Args:
        logits: (B, P, h, w), half the crop's resolution.
        targets: (B, P, h, w) coverage in 0-1.

    Returns:
        XY in pixels of the crop (B, P, 2) and label (B, P).
    """
    wrong = ((logits > 0) != (targets > 0.5)).flatten(2).float()
    wrong += 1e-6 * (targets.flatten(2) > 0.5)  # a perfect mask gets one more click inside
    spot = torch.multinomial(wrong.flatten(0, 1) + 1e-12, 1).view(wrong.shape[:2])
    width = logits.shape[-1]
    point = torch.stack([spot % width, spot // width], dim=-1).float() * 2
    inside = targets.flatten(2).gather(2, spot[..., None])[..., 0] > 0.5
    return point, torch.where(inside, POSITIVE, NEGATIVE)


def batch_loss(sam: Sam, batch: Batch, corrective: bool) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of one batch and the figures worth printing."""
    targets = batch.targets.float() / 255
    coords, labels, offsets = batch.coords, batch.labels, batch.offsets
    with torch.autocast("cpu", torch.bfloat16):
        embedding = network.embed(sam, batch.images, batch.valid, offsets)
        sparse = network.sparse_embeddings(sam, coords, labels, offsets, VIT_TINY.patch_size)
        previous = None
        if corrective:
            with torch.no_grad():
                first, first_iou = network.decode(sam, embedding, sparse, offsets)
                best = first_iou.argmax(-1)[..., None, None, None].expand(
                    -1, -1, 1, *first.shape[-2:]
                )
                previous = first.gather(2, best)[:, :, 0].float()
                click, label = corrective_click(previous, targets)
            # The official order: points, then padding or box corners.
            coords = torch.cat([click[:, :, None], coords], dim=2)
            labels = torch.cat([label[:, :, None], labels], dim=2)
            sparse = network.sparse_embeddings(sam, coords, labels, offsets, VIT_TINY.patch_size)
        logits, predicted = network.decode(sam, embedding, sparse, offsets, previous)
    logits, predicted = logits.float(), predicted.float()
    wanted = targets[:, :, None].expand_as(logits)
    losses = mask_loss(logits, wanted)
    with torch.no_grad():
        iou = mask_iou(logits, wanted)
    several = losses[..., 1:].min(-1).values
    single = losses[..., 0]
    quality = F.mse_loss(predicted, iou)
    # A box asks for one mask, and its user reads the single one; a click reads the best of three.
    box = network.is_box(labels)
    loss = (
        (several * torch.where(box, 0.5, 1.0)).mean()
        + (single * torch.where(box, 1.5, 0.5)).mean()
        + quality
    )
    chosen = iou[..., 1:].gather(-1, predicted[..., 1:].argmax(-1, keepdim=True))[..., 0]
    return loss, {
        "loss": loss.item(),
        "point": chosen[~box].mean().item(),
        "box": iou[..., 0][box].mean().item(),
        "oracle": iou[..., 1:].max(-1).values.mean().item(),
        "quality": quality.item(),
    }


class Training:
    """Everything a resumed run needs: weights, their average, optimizers, step count."""

    def __init__(self, seed: int = 0) -> None:
        self.sam = VIT_TINY.build().train()
        network.initialise(self.sam, seed)
        network.use_true_distances()
        self.average = copy.deepcopy(self.sam).requires_grad_(False)
        self.steps_done = 0
        matrices: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, parameter in self.sam.named_parameters():
            inner = parameter.ndim == 2 and not any(
                part in name for part in ("rel_pos", "embed", "token", "hypernet", "iou_pred")
            )
            (matrices if inner else rest).append(parameter)
        self.muon = torch.optim.Muon(
            matrices, lr=1e-3, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
        )
        self.adamw = torch.optim.AdamW(rest, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01)

    def step(self, batch: Batch, corrective: bool, scale: float, stage: str) -> dict[str, float]:
        """One update at ``scale`` of the stage's learning rates."""
        loss, figures = batch_loss(self.sam, batch, corrective)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.sam.parameters(), 1.0)
        for optimizer, rate in zip((self.muon, self.adamw), STAGES[stage][2:], strict=True):
            optimizer.param_groups[0]["lr"] = rate * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.steps_done += 1
        keep = min(EMA, (1 + self.steps_done) / (10 + self.steps_done))
        torch._foreach_lerp_(
            list(self.average.parameters()),
            [parameter.detach() for parameter in self.sam.parameters()],
            1 - keep,
        )
        return figures

    def save(self, path: Path) -> None:
        """Write the whole state; an interrupted write leaves the earlier file."""
        state = {
            "sam": self.sam.state_dict(),
            "average": self.average.state_dict(),
            "muon": self.muon.state_dict(),
            "adamw": self.adamw.state_dict(),
            "steps_done": self.steps_done,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a saved state."""
        state = torch.load(path, weights_only=True)
        self.sam.load_state_dict(state["sam"])
        self.average.load_state_dict(state["average"])
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])
        self.steps_done = state["steps_done"]

    def start_from(self, path: Path) -> None:
        """Take the weights of an exported checkpoint; the optimizers begin anew."""
        weights = {
            name: value.float() for name, value in torch.load(path, weights_only=True).items()
        }
        self.sam.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def export(self, path: Path) -> None:
        """Write the averaged weights in fp16, as a plain state dict like the published files."""
        weights = {
            name: value.half() if value.is_floating_point() else value
            for name, value in self.average.state_dict().items()
        }
        torch.save(weights, path)


def learning_rate_scale(done: int, steps: int, cooldown: float, floor: float) -> float:
    """Warm-up, plateau, then a linear fall to ``floor`` over the last ``cooldown`` share."""
    warm = min(1.0, (done + 1) / WARM_UP_STEPS)
    left = min(1.0, max(0.0, (steps - done) / max(cooldown * steps, 1)))
    return warm * (floor + (1 - floor) * left)


def run(arguments: argparse.Namespace) -> None:
    """Train one stage, saving on the way, and export the averaged weights if asked to."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    state_path = arguments.work / "state.pt"
    begin_path = arguments.work / f"{arguments.stage}.begin"
    training = Training()
    if state_path.exists():
        training.restore(state_path)
    elif arguments.start_from:
        training.start_from(arguments.start_from)
    if not begin_path.exists():
        begin_path.write_text(str(training.steps_done))
    first = int(begin_path.read_text())
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _frame: stopping.append(caught))
    side, size, _, _ = STAGES[arguments.stage]
    batches = stream(arguments.cutouts, size=size, side=side, seed=training.steps_done, workers=1)
    torch.manual_seed(training.steps_done)
    mean: dict[str, float] = {}
    started = saved = time.monotonic()
    begun_at = training.steps_done
    while training.steps_done < first + arguments.steps and not stopping:
        step = training.steps_done
        scale = learning_rate_scale(
            step - first, arguments.steps, arguments.cooldown, arguments.floor
        )
        corrective = step % CORRECTIVE_EVERY == CORRECTIVE_EVERY - 1
        figures = training.step(next(batches), corrective, scale, arguments.stage)
        if not math.isfinite(figures["loss"]):
            raise SystemExit(f"error: loss is {figures['loss']} at step {step}")
        for name, value in figures.items():
            if math.isfinite(value):
                mean[name] = mean.get(name, value) * 0.98 + value * 0.02
        if training.steps_done % 50 == 0:
            pace = (time.monotonic() - started) / (training.steps_done - begun_at)
            shown = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
            print(f"{training.steps_done} {shown} | {pace:.2f} s/step", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            training.save(state_path)
            saved = time.monotonic()
    training.save(state_path)
    if arguments.export:
        training.export(arguments.export)
        size, digest = arguments.export.stat().st_size, file_sha256(arguments.export)
        print(f"{arguments.export}: size_bytes={size:_}, sha256={digest!r}")  # for the table
    print(f"stopped at step {training.steps_done}", flush=True)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the resumable state")
    parser.add_argument("--cutouts", type=Path, help="folder of RGBA .webp cut-outs")
    parser.add_argument("--stage", choices=sorted(STAGES), required=True)
    parser.add_argument("--steps", type=int, required=True, help="length of the stage")
    parser.add_argument("--cooldown", type=float, default=0.25, help="share of falling rate")
    parser.add_argument("--floor", type=float, default=0.02, help="rate left at the stage's end")
    parser.add_argument("--start-from", type=Path, help="an exported checkpoint to train further")
    parser.add_argument("--export", type=Path, help="write the averaged weights here at the end")
    arguments = parser.parse_args()
    keep_freed_memory()
    run(arguments)


if __name__ == "__main__":
    main()
