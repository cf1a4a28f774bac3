"""First step: which images are still to do, and who does them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.checkpoint import checkpoint_identity
from pipeline.inputs import InputImage, find_images
from pipeline.manifest import (
    PLAN,
    PLANNED,
    PlannedImage,
    plan_lines,
    read_done,
    shard_name,
    shard_plan_name,
    write_json,
)
from pipeline.parameters import RunParameters, fingerprint
from pipeline.storage import WORK, Folder, StorageError, open_folder

_LINES = "application/jsonl"


def plan_shards(parameters: RunParameters) -> list[str]:
    """Write the plan of a run and return the names of its shards.

    An image is done when its masks are there with the fingerprint of this image, these prompts,
    this checkpoint and these settings; anything else is computed anew.

    Raises:
        RunError, SamError, StorageError: an input, a prompt or the checkpoint cannot be used.
    """
    output = open_folder(parameters.output)
    images = _planned(parameters)
    todo = [image for image in images if read_done(output, image.name, image.fingerprint) is None]
    output.delete_folder(WORK)
    output.write_bytes(PLAN, plan_lines(images), _LINES)
    names = _write_shards(output, todo, parameters.shards)
    write_json(output, PLANNED, {"images": len(images), "todo": len(todo), "shards": len(names)})
    return names


def _planned(parameters: RunParameters) -> list[PlannedImage]:
    model = checkpoint_identity(parameters.checkpoint)
    planned = []
    for image in find_images(parameters):
        prompts = [prompt.to_json() for prompt in image.prompts]
        digest = _digest(image)
        settings = {} if prompts else parameters.automatic_overrides()
        planned.append(
            PlannedImage(
                name=image.name,
                folder=image.folder.uri,
                file=image.file,
                digest=digest,
                prompts=prompts,
                fingerprint=fingerprint(
                    {
                        "image": digest,
                        "prompts": prompts,
                        "checkpoint": model,
                        "automatic": settings,
                        "precision": parameters.precision,
                        "max_masks": parameters.max_masks,
                    }
                ),
            )
        )
    return planned


def _digest(image: InputImage) -> str:
    """The content's digest; of a file that cannot be read, a word for that.

    Such an image becomes a failed row where it is segmented; here it must not end the plan.
    """
    try:
        return image.folder.digest(image.file)
    except StorageError:
        return "unreadable"


def _write_shards(output: Folder, todo: Sequence[PlannedImage], shards: int) -> list[str]:
    """Deal the images out in turn, so that every shard gets the same mix.

    There is always one shard, if an empty one: Kubeflow's local runner cannot collect the results
    of a loop without turns.
    """
    names = []
    for number in range(max(min(shards, len(todo)), 1)):
        name = shard_name(number)
        output.write_bytes(shard_plan_name(name), plan_lines(todo[number::shards]), _LINES)
        names.append(name)
    return names
