"""Results that are numbers: NaN would turn into empty masks, and nobody would notice."""

from __future__ import annotations

import torch

from serving.sam.errors import NotFiniteError


def is_finite(values: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite; a GPU is waited for."""
    return bool(torch.isfinite(values.sum()))  # one pass, and no memory


def check_finite(values: torch.Tensor, what: str) -> None:
    """Refuse values that are no numbers.

    Args:
        values: any shape.
        what: they are, for the message.

    Raises:
        NotFiniteError: NaN or infinity among them.
    """
    refuse_not_finite(is_finite(values), what)


def refuse_not_finite(finite: bool, what: str) -> None:
    """Refuse values of which somebody else has found out; see ``check_finite``."""
    if not finite:
        raise NotFiniteError(
            f"the network's {what} are not finite (NaN or infinity): the checkpoint's weights are "
            "damaged, or too large for this precision"
        )
