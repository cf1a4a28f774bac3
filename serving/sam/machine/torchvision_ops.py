"""Import torchvision beside a torch build that its compiled operators do not match.

``segment_anything`` imports torchvision for three small things (``resize``, ``to_pil_image`` and
``batched_nms``). The public torchvision wheel carries operators compiled for the CUDA build of
torch; beside a CPU wheel they do not load, ``import torchvision`` fails with
``operator torchvision::nms does not exist``, and non-maximum suppression is missing.

:func:`ensure_torchvision_ops` repairs exactly that, and only where it is broken: it registers the
operator's schema and a CPU kernel before torchvision is first imported. On a machine whose
torchvision works, it changes nothing.
"""

import importlib.util
import threading
from pathlib import Path

import torch

_LOCK = threading.Lock()
_STATE: dict[str, torch.library.Library] = {}


def nms(boxes_xyxy: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Return the indices of the boxes that greedy non-maximum suppression keeps.

    Args:
        boxes_xyxy: (N, 4) floating point, pixels.
        scores: (N,) floating point.
        iou_threshold: a box is dropped when its IoU with a better one is *greater* than this.

    Returns:
        (K,) int64 indices into ``boxes_xyxy``, by falling score; equal scores keep their order.

    The same contract as ``torchvision.ops.nms``
    (https://pytorch.org/vision/stable/generated/torchvision.ops.nms.html).
    """
    if boxes_xyxy.numel() == 0:
        return torch.empty(0, dtype=torch.int64, device=boxes_xyxy.device)
    order = torch.argsort(scores, descending=True, stable=True)
    boxes = boxes_xyxy[order].float()
    left_top, right_bottom = boxes[:, :2], boxes[:, 2:]
    areas = (right_bottom - left_top).prod(dim=1)
    suppressed = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    kept = []
    for index in range(len(boxes)):
        if suppressed[index]:
            continue
        kept.append(index)
        rest = slice(index + 1, None)
        overlap = (
            torch.minimum(right_bottom[index], right_bottom[rest])
            - torch.maximum(left_top[index], left_top[rest])
        ).clamp_(min=0)
        intersection = overlap.prod(dim=1)
        union = areas[index] + areas[rest] - intersection
        suppressed[rest] |= intersection / union > iou_threshold
    return order[torch.tensor(kept, dtype=torch.int64, device=boxes.device)]


def _compiled_operators_load(package_folder: Path) -> bool:
    """Load torchvision's own operator library; False where it does not fit this torch."""
    for library in sorted(package_folder.glob("_C*.so")) + sorted(package_folder.glob("_C*.pyd")):
        try:
            torch.ops.load_library(str(library))
        except OSError:  # missing CUDA libraries, or symbols of another torch build
            return False
        return True
    return False


def ensure_torchvision_ops() -> bool:
    """Make ``import torchvision`` and its ``nms`` work; return whether a repair was needed.

    Safe to call often and from several threads. Call it before the first import of torchvision or
    ``segment_anything``: torchvision registers its own shapes for ``nms`` while it is imported and
    fails there when the operator has no schema.
    """
    with _LOCK:
        if "library" in _STATE:
            return True
        spec = importlib.util.find_spec("torchvision")
        if spec is None or spec.origin is None:
            return False  # segment_anything's own import says what is missing
        if _compiled_operators_load(Path(spec.origin).parent):
            return False
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl("nms", nms, "CPU")
        _STATE["library"] = library  # the registration lives as long as this object
        import torchvision.extension

        # torchvision.ops.nms asks this before it calls the operator.
        torchvision.extension._has_ops = lambda: True
        return True
