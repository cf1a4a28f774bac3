"""One life of a shard's process; :mod:`pipeline.steps.supervise_shard` starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pipeline.shard.image_in_hand import Hand
from pipeline.shard.step_process import EXPECTED_ERRORS, run_step
from pipeline.steps.segment_shard import Care, segment_shard


def main() -> int:
    """Read the order from standard input, segment the shard, leave the result in its file."""
    order: dict[str, Any] = json.load(sys.stdin)
    care = order["care"]
    hand = Hand(Path(order["hand"]), care["one_by_one"])
    try:
        rows = run_step(
            segment_shard,
            order["parameters"],
            order["shard"],
            Care(hand=hand, skip=care["skip"], restarts=care["restarts"]),
        )
    except EXPECTED_ERRORS as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    Path(order["result"]).write_text(rows, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
