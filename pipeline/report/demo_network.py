"""What a run says of itself when the embedded demonstration network made its masks."""

from __future__ import annotations

from serving.sam.known_checkpoints import find_entry
from serving.sam.plain_text import count

_FETCH = "sam-vertex checkpoint fetch vit_b"
_HERE = (_FETCH, "sam-vertex run INPUT --checkpoint vit_b --output OUTPUT")
_ON_VERTEX = (
    _FETCH,
    "sam-vertex checkpoint upload vit_b",
    "sam-vertex run INPUT --engine vertex --checkpoint vit_b --output OUTPUT",
)


def is_demo_network(model: str) -> bool:
    """Whether a model of that name is the one in this package."""
    entry = find_entry(model)
    return entry is not None and entry.is_demo


def demo_warning(model: str, *, done: int, without_mask: int) -> str:
    """One sentence that warns of the masks; empty where a network for real work made them.

    Args:
        model: name of the network.
        done: images that have been segmented.
        without_mask: how many of them have no mask.
    """
    if not is_demo_network(model):
        return ""
    have = "has" if without_mask == 1 else "have"
    return f"{model} is a demo network; {without_mask} of {count(done, 'image')} {have} no mask"


def real_work_commands(engine: str) -> tuple[str, ...]:
    """What to type for masks that are good for more than a demonstration.

    Args:
        engine: where the run was, ``local`` or ``vertex``.
    """
    return _ON_VERTEX if engine == "vertex" else _HERE
