"""First step: which images are still to do, and who does them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from pipeline.ordered_map import ordered_map
from pipeline.run.checkpoint_source import checkpoint_identity
from pipeline.run.claim import JOB_SECONDS, acquire_claim
from pipeline.run.input_images import InputImage, find_images
from pipeline.run.manifest import PlannedImage, finished, plan_lines, read_rows, write_json
from pipeline.run.output_layout import FAILED, PLAN, PLANNED, shard_name, shard_plan_name
from pipeline.run.parameters import RunError, RunParameters, fingerprint
from serving.sam.images import header_pixels
from serving.storage import WORK, Folder, StorageError, open_folder

_LINES = "application/jsonl"
_HEAD_BYTES = 65536
_MOST_HEADS = 1000  # of a bucket's images; the sizes of others follow from these and their bytes
# The network scales every image to the same size, which costs as much as so many pixels more.
_PIXELS_OF_ANY_IMAGE = 1_000_000


def plan_shards(parameters: RunParameters) -> list[str]:
    """Write the plan of a run and return the names of its shards.

    An image is done when its masks are there with the fingerprint of this image, these prompts,
    this checkpoint and these settings; anything else is computed anew.

    Raises:
        RunError, SamError, StorageError: an input, a prompt or the checkpoint cannot be used, or
            another run is writing to the output.
    """
    started = time.time()
    output = open_folder(parameters.output)
    if parameters.run_id:
        acquire_claim(output, parameters.run_id, JOB_SECONDS)
    images = find_images(parameters)
    planned = plan_images(images, parameters)
    done = finished(output, planned)
    if parameters.only_failed:
        failed = _failed_before(output)
        planned = [image for image in planned if image.name in done or image.name in failed]
    todo = [image for image in planned if image.name not in done]
    weights = _weights(images, {image.name for image in todo})
    output.delete_folder(WORK)
    output.write_bytes(PLAN, plan_lines(planned), _LINES)
    names = _write_shards(output, todo, weights, parameters.shards)
    about = {"images": len(planned), "todo": len(todo), "shards": len(names), "started": started}
    write_json(output, PLANNED, about)
    return names


def plan_images(images: Sequence[InputImage], parameters: RunParameters) -> list[PlannedImage]:
    """The images with digests of their content and of everything that decides their masks.

    Raises:
        SamError, StorageError: the checkpoint cannot be read.
    """
    model = checkpoint_identity(parameters.checkpoint)
    return [
        planned_image(
            image,
            {
                "checkpoint": model,
                "automatic": parameters.automatic_overrides(),
                "precision": parameters.precision,
                "max_masks": parameters.max_masks,
            },
        )
        for image in images
    ]


def planned_image(image: InputImage, decides: Mapping[str, object]) -> PlannedImage:
    """One image as planned.

    Args:
        image: as found.
        decides: what decides its masks beside its content and its prompts; ``automatic`` only
            where it has no prompts.
    """
    prompts = [prompt.to_json() for prompt in image.prompts]
    digest = image.digest or _digest(image)
    settings = {"automatic": {} if prompts else decides.get("automatic", {})}
    return PlannedImage(
        name=image.name,
        folder=image.folder.uri,
        file=image.file,
        digest=digest,
        prompts=prompts,
        fingerprint=fingerprint({"image": digest, "prompts": prompts, **decides, **settings}),
    )


def _digest(image: InputImage) -> str:
    """The content's digest; of a file that cannot be read, a word for that.

    Such an image becomes a failed row where it is segmented; here it must not end the plan.
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


def _weights(images: Sequence[InputImage], names: set[str]) -> dict[str, float]:
    """How much work each image is, in pixels; what is no image at all is next to none."""
    wanted = [image for image in images if image.name in names]
    step = 1
    if wanted and wanted[0].folder.readers > 1:  # each look is a request
        step = -(-len(wanted) // _MOST_HEADS)

    def pixels(image: InputImage) -> int | None:
        try:
            return header_pixels(image.folder.read_head(image.file, _HEAD_BYTES))
        except StorageError:
            return 0

    looked = wanted[::step]
    seen = dict(
        zip(
            (image.name for image in looked),
            ordered_map(pixels, looked, looked[0].folder.readers if looked else 1),
            strict=True,
        )
    )
    density = _pixels_per_byte(looked, seen)
    weights: dict[str, float] = {}
    for image in wanted:
        known = seen.get(image.name)
        if known is None:  # not looked at, or the header is further in
            known = int(image.size_bytes * density.get(_suffix(image), 4.0))
        weights[image.name] = _PIXELS_OF_ANY_IMAGE + known
    return weights


def _suffix(image: InputImage) -> str:
    return PurePosixPath(image.file).suffix.lower()


def _pixels_per_byte(
    looked: Sequence[InputImage], seen: Mapping[str, int | None]
) -> dict[str, float]:
    """Average density of each kind of file, from those that were looked at."""
    sums: dict[str, list[float]] = {}
    for image in looked:
        pixels = seen[image.name]
        if pixels and image.size_bytes:
            total = sums.setdefault(_suffix(image), [0.0, 0.0])
            total[0] += pixels
            total[1] += image.size_bytes
    return {suffix: pixels / size for suffix, (pixels, size) in sums.items()}


def _write_shards(
    output: Folder, todo: Sequence[PlannedImage], weights: Mapping[str, float], shards: int
) -> list[str]:
    """Deal the images out, heaviest first, each to the shard that has the least to do.

    Within a shard they stand by name. There is always one shard, if an empty one: Kubeflow's local
    runner cannot collect the results of a loop without turns.
    """
    count = max(min(shards, len(todo)), 1)
    dealt: list[list[PlannedImage]] = [[] for _ in range(count)]
    loads = [(0.0, number) for number in range(count)]
    for image in sorted(todo, key=lambda one: -weights[one.name]):
        load, number = heapq.heappop(loads)
        dealt[number].append(image)
        heapq.heappush(loads, (load + weights[image.name], number))
    names = []
    for number, images in enumerate(dealt):
        name = shard_name(number)
        images.sort(key=lambda one: one.name)
        output.write_bytes(shard_plan_name(name), plan_lines(images), _LINES)
        names.append(name)
    return names
