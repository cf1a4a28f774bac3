"""What every side does: read a request a line, do it, answer a line with the seconds it took.

Imported by sides of other environments too, so nothing but the standard library.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any


def serve(actions: dict[str, Callable[[dict[str, Any]], Any]]) -> None:
    """Answer requests ``{"do": name, ...}`` until there are no more."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        started = time.perf_counter()
        result = actions[request["do"]](request)
        answer = {
            "seconds": time.perf_counter() - started,
            "result": result,
            "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }
        print(json.dumps(answer), file=answers, flush=True)
