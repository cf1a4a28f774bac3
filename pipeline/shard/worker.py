"""The process that segments a shard; :mod:`pipeline.steps.segment_shard` starts and watches it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pipeline.run.parameters import RunParameters
from pipeline.run.step_process import EXPECTED_ERRORS, run_step
from pipeline.shard.image_in_hand import RestartPolicy
from pipeline.shard.lost_device import EXIT_CODE, LostDeviceError
from pipeline.shard.segmentation import segment_images


def _segment(run: RunParameters, shard: str, policy: RestartPolicy, note: Path) -> str:
    try:
        return segment_images(run, shard, policy, note)
    except LostDeviceError as error:
        print(f"{shard}: {error}", flush=True)
        raise SystemExit(EXIT_CODE) from error  # no error of the run: the next process goes on


def main() -> int:
    """Read the order from standard input, segment the shard, leave the result in its file."""
    order: dict[str, Any] = json.load(sys.stdin)
    try:
        rows = run_step(
            _segment,
            order["parameters"],
            order["shard"],
            RestartPolicy(**order["restart_policy"]),
            Path(order["note"]),
        )
    except EXPECTED_ERRORS as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    Path(order["result"]).write_text(rows, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
