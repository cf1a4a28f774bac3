"""Which checkpoint works where the operator named none: the best one that is on this machine."""

from __future__ import annotations

import sys

import typer

from scripts.checkpoints.fetch import fetch_checkpoint
from scripts.terminal.amounts import amount
from scripts.terminal.progress import report_line
from serving.sam.known_checkpoints import CHECKPOINTS

DEMO_NETWORK = "vit_tiny"
_RECOMMENDED = "vit_b"  # the smallest of Meta's, which a CPU computes in seconds an image


def best_checkpoint() -> str:
    """Return the name of the best known checkpoint that is on this machine.

    Only this user's cache and this package count, where :mod:`scripts.checkpoints.fetch` puts
    verified files; of Meta's the larger is the better.
    """
    here = [entry for entry in CHECKPOINTS.values() if entry.path_here.is_file()]
    return max(here, key=lambda entry: entry.size_bytes).name


def choose_checkpoint() -> str:
    """Return the best checkpoint here and say which; on a terminal, offer a better than the demo's.

    Raises:
        OperatorError: the operator wants it fetched, and that failed.
    """
    name = best_checkpoint()
    if not CHECKPOINTS[name].is_demo:
        report_line(f"checkpoint: {name}, the best on this machine; --checkpoint names another")
    elif sys.stdin.isatty() and sys.stderr.isatty() and _wants(_RECOMMENDED, name):
        return fetch_checkpoint(_RECOMMENDED, None).name
    else:
        report_line(
            f"checkpoint: {name}, a demo network; sam-vertex checkpoint fetch {_RECOMMENDED}"
        )
    return name


def _wants(name: str, instead_of: str) -> bool:
    size = amount(CHECKPOINTS[name].size_bytes, "bytes")
    return typer.confirm(
        f"{instead_of} is a demo network and finds nothing in many photographs.\n"
        f"Fetch Meta's {name} now ({size})? --checkpoint {instead_of} does not ask.",
        default=False,
        err=True,
    )
