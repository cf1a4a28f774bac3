"""Train the embedded checkpoint from scratch, resumable at any moment.

The run is two stages: ``crops`` (128-pixel windows of scenes, four times cheaper a step) and
``whole`` (256-pixel scenes), each with its own learning rate that falls to nearly nothing at its
end. It saves its state every few minutes and on SIGTERM/SIGINT; the same command resumes it.

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

import torch

from scripts.training import network
from scripts.training.losses import batch_loss
from scripts.training.prompts import Batch, stream
from serving.sam.architectures import VIT_TINY
from serving.sam.checkpoints import file_sha256
from serving.sam.machine.allocator import keep_freed_memory

STAGES = {  # side in pixels, crops a batch, learning rates of Muon and AdamW
    "crops": (128, 16, 3e-3, 1e-3),
    "whole": (256, 4, 2e-3, 6e-4),
}
EMA = 0.998
WARM_UP_STEPS = 100
CORRECTIVE_EVERY = 8
SAVE_SECONDS = 120


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
        """Resume from a saved state."""
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
