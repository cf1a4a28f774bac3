"""First step: find the images that are still to do and deal them out to shards."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence

from pipeline.run.checkpoint_source import checkpoint_identity
from pipeline.run.claim import JOB_SECONDS, acquire_claim
from pipeline.run.guarded_output import open_output, refuse_awaited_batch
from pipeline.run.image_weights import image_weights
from pipeline.run.input_images import InputImage, find_files, with_prompts
from pipeline.run.manifest import PlannedImage, finished, read_rows, write_json, write_plan
from pipeline.run.output_layout import (
    CATEGORIES,
    FAILED,
    LOG,
    MANIFEST,
    PARAMETERS,
    PLAN,
    PLANNED,
    shard_name,
    shard_plan_name,
)
from pipeline.run.parameters import Pictures, RunError, RunParameters, fingerprint
from pipeline.run.prompt_sets.reading import read_prompts
from pipeline.run.reviewed import keep_reviewed
from serving.storage import WORK, Folder, StorageError, open_folder

_ONLY_PICTURES = ("max_masks", "pictures")  # settings that decide no mask


def plan_shards(parameters: RunParameters) -> list[str]:
    """Write the plan of a run and return the names of its shards.

    An image is done when the output has its masks with the fingerprint of this image, these
    prompts, this checkpoint and these settings, or masks of this image that somebody has reviewed.
    The shards compute every other one anew.

    Raises:
        RunError, SamError, StorageError: an input, a prompt or the checkpoint cannot be used, or
            another run is writing to the output.
    """
    started = time.time()
    if parameters.run_id:
        acquire_claim(open_folder(parameters.output), parameters.run_id, JOB_SECONDS)
    output = open_output(parameters)
    refuse_awaited_batch(output)
    given = read_prompts(parameters.prompts)
    images = with_prompts(find_files(parameters), given)
    planned = keep_reviewed(output, plan_images(images, parameters))
    done = finished(output, planned)
    if parameters.only_failed:
        _refuse_lost_images(output, planned, done)
        failed = _failed_before(output)
        planned = [image for image in planned if image.name in done or image.name in failed]
    todo = [image for image in planned if image.name not in done]
    todo_names = {image.name for image in todo}
    weights = image_weights([image for image in images if image.name in todo_names])
    _delete_working_files(output)
    if parameters.run_id:
        output.write_bytes(PARAMETERS, parameters.to_json().encode(), "application/json")
    write_plan(output, PLAN, planned)
    write_json(output, CATEGORIES, {"categories": [item.to_json() for item in given.categories]})
    names = _write_shards(output, todo, weights, parameters.shards)
    about = {"images": len(planned), "todo": len(todo), "shards": len(names), "started": started}
    write_json(output, PLANNED, about)
    return names


def _delete_working_files(output: Folder) -> None:
    """Delete what an earlier run left, not the log of this one, which has begun already."""
    for file in list(output.files(f"{WORK}/")):
        if file.name != LOG:
            output.delete(file.name)


def plan_images(images: Sequence[InputImage], parameters: RunParameters) -> list[PlannedImage]:
    """The images with digests of their content and of everything that decides their masks.

    Raises:
        SamError, StorageError: the checkpoint cannot be read.
    """
    model = checkpoint_identity(parameters.checkpoint)
    drawn = parameters.drawn(len(images))
    return [
        planned_image(
            image,
            {
                "checkpoint": model,
                "automatic": parameters.automatic_overrides(),
                "precision": parameters.precision,
                "max_masks": parameters.max_masks,
            }
            | ({"window": parameters.window} if parameters.window else {})
            | ({"family": parameters.family} if parameters.family else {})
            | ({"pictures": drawn} if drawn != "all" else {}),
            drawn,
        )
        for image in images
    ]


def planned_image(
    image: InputImage, decides: Mapping[str, object], drawn: Pictures = "all"
) -> PlannedImage:
    """One image as planned.

    Args:
        image: the image in its input folder.
        decides: what decides its masks beside its content and its prompts; the key ``automatic``
            counts only for an image without prompts.
        drawn: which pictures the run draws.
    """
    prompts = [prompt.to_json() for prompt in image.prompts]
    digest = image.digest or _digest(image)
    settings = {"automatic": {} if prompts else decides.get("automatic", {})}
    content = {"image": digest, "prompts": prompts, **decides, **settings}
    of_masks = {name: value for name, value in content.items() if name not in _ONLY_PICTURES}
    return PlannedImage(
        name=image.name,
        folder=image.folder.uri,
        file=image.file,
        digest=digest,
        prompts=prompts,
        fingerprint=fingerprint(content),
        masks_fingerprint=fingerprint(of_masks),
        pictures=drawn,
    )


def _digest(image: InputImage) -> str:
    """The digest of an image's content; ``unreadable`` where the file cannot be read.

    The shard makes such an image a failed row; here it must not end the plan.
    """
    try:
        return image.folder.digest(image.file)
    except StorageError:
        return "unreadable"


def _failed_before(output: Folder) -> set[str]:
    if not output.exists(FAILED):
        raise RunError(
            f"{output.uri}: no {FAILED} of an earlier run, so there is nothing to retry; "
            "run without --only-failed"
        )
    return {row.image for row in read_rows(output, FAILED)}


def _refuse_lost_images(output: Folder, planned: Sequence[PlannedImage], done: set[str]) -> None:
    """Refuse to drop what an earlier run finished and what this one would not compute anew.

    Raises:
        RunError: finished images that do not fit this run.
    """
    if not output.exists(MANIFEST):
        return
    names = {image.name for image in planned}
    rows = read_rows(output, MANIFEST)
    lost = [row.image for row in rows if row.status == "done" and row.image in names - done]
    if lost:
        raise RunError(
            f"--only-failed would drop {len(lost)} finished images ({lost[0]} is the first): their "
            "masks were made with other settings, prompts or another checkpoint, or the images "
            "have changed. Give the same options as the earlier run, or leave out --only-failed"
        )


def _write_shards(
    output: Folder, todo: Sequence[PlannedImage], weights: Mapping[str, float], shards: int
) -> list[str]:
    """Deal the images out, heaviest first, each to the shard that has the least to do.

    Each shard lists its images by name. At least one shard exists, if an empty one: Kubeflow's
    local runner cannot collect the results of a loop without turns.
    """
    count = max(min(shards, len(todo)), 1)
    dealt: list[list[PlannedImage]] = [[] for _ in range(count)]
    loads = [(0.0, number) for number in range(count)]
    for image in sorted(todo, key=lambda image: -weights[image.name]):
        load, number = heapq.heappop(loads)
        dealt[number].append(image)
        heapq.heappush(loads, (load + weights[image.name], number))
    names = []
    for number, images in enumerate(dealt):
        name = shard_name(number)
        images.sort(key=lambda image: image.name)
        write_plan(output, shard_plan_name(name), images)
        names.append(name)
    return names
