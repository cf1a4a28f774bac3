"""What people have decided about the masks of an output: no later run takes it back.

``sam-vertex annotate`` writes ``reviewed.jsonl``, a line for each mask that somebody judged, and
the verdict into the mask's own record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from pipeline.ordered_map import ordered_map
from pipeline.run.manifest import PlannedImage
from pipeline.run.output_layout import REVIEWED, masks_name
from serving.storage import Folder


def is_rejected(record: Mapping[str, Any]) -> bool:
    """Whether somebody has rejected a mask."""
    return record.get("verdict") == "reject"


def without_rejected(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a masks file without the masks that somebody rejected, and their outlines.

    The others keep the ``number`` that they have in the file.
    """
    kept = [n for n, mask in enumerate(content["masks"]) if not is_rejected(mask)]
    if len(kept) == len(content["masks"]):
        return dict(content)
    masks, outlines = content["masks"], content["outlines"]
    paths = [outlines["paths"][number] for number in kept if number < len(outlines["paths"])]
    return {
        **content,
        "masks": [{**masks[number], "number": number} for number in kept],
        "outlines": {**outlines, "paths": paths},
    }


def is_accepted(record: Mapping[str, Any]) -> bool:
    """Whether somebody has accepted a mask."""
    return record.get("verdict") == "accept"


def reviewed_images(output: Folder) -> set[str]:
    """The names of the images of which somebody has judged a mask.

    Lines that are no verdicts are left out: the masks files hold the verdicts as well.
    """
    if not output.exists(REVIEWED):
        return set()
    names = set()
    for line in output.read_bytes(REVIEWED).splitlines():
        try:
            names.add(str(orjson.loads(line)["image"]))
        except (ValueError, KeyError, TypeError):
            continue
    return names


def keep_reviewed(output: Folder, planned: Sequence[PlannedImage]) -> list[PlannedImage]:
    """Plan reviewed images with the fingerprints of the masks that they have.

    So they are done, whatever the run's prompts, checkpoint and settings, as long as the image
    itself is the one that was reviewed.
    """
    reviewed = reviewed_images(output)
    if not reviewed:
        return list(planned)

    def kept(image: PlannedImage) -> PlannedImage:
        name = masks_name(image.name)
        if image.name not in reviewed or not output.exists(name):
            return image
        try:
            content = orjson.loads(output.read_bytes(name))
            if content["digest"] == image.digest:
                return dataclasses.replace(image, fingerprint=str(content["fingerprint"]))
        except (ValueError, KeyError, TypeError):  # written by something else: compute it again
            pass
        return image

    return list(ordered_map(kept, planned, output.readers))
