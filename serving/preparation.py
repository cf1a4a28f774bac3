"""Before prediction: fetch and decode the image of an instance, check the prompts against it."""

from __future__ import annotations

import hashlib

from serving.contract import Instance
from serving.decoded_pixels import DecodedPixels
from serving.embedding_cache import EmbeddingCache
from serving.errors import ImageNotKept, Refusal, RequestError
from serving.object_access import read_object
from serving.parameters import Parameters
from serving.request_budget import RequestBudget
from serving.sam.checkpoints import LoadedCheckpoint
from serving.sam.errors import InputError
from serving.sam.images import decode_image, header_pixels
from serving.settings import ServingSettings
from serving.work import Prepared


def prepare_instance(
    instance: Instance,
    parameters: Parameters,
    *,
    checkpoint: LoadedCheckpoint,
    cache: EmbeddingCache,
    limits: ServingSettings,
    budget: RequestBudget,
    room: DecodedPixels | None = None,
) -> Prepared | Instance | Refusal:
    """Fetch, decode and check an instance; return what is wrong with it instead of raising.

    Args:
        instance: as the request gives it.
        parameters: of the request.
        checkpoint: the loaded network, for its thresholds and its size of mask inputs.
        cache: embeddings of earlier images; a prompted image in it needs no decoding.
        limits: of this server.
        budget: pixels and bytes that the request has left.
        room: for an image that is decoded before its turn; an instance that finds none comes back
            as it is. By default it is the instance's turn.
    """
    try:
        return _prepared(instance, parameters, checkpoint, cache, limits, budget, room)
    except InputError as error:
        return RequestError(str(error))
    except Refusal as error:
        return error


def _prepared(
    instance: Instance,
    parameters: Parameters,
    checkpoint: LoadedCheckpoint,
    cache: EmbeddingCache,
    limits: ServingSettings,
    budget: RequestBudget,
    room: DecodedPixels | None,
) -> Prepared | Instance:
    field = f"{instance.field}.{_source(instance)}"
    settings = parameters.automatic_settings(checkpoint.automatic)
    masks = len(instance.prompts) * (3 if instance.multimask_output else 1)
    # How many automatic masks there will be nobody knows yet.
    side = checkpoint.architecture.mask_input_size if instance.prompts else 0
    if not instance.prompts:
        checkpoint.family.check_automatic(instance.field)
    data = _content(instance, field, limits)
    digest = instance.image_id if data is None else hashlib.sha256(data).hexdigest()
    embedding = cache.get(digest) if instance.prompts else None
    if embedding is not None:
        height, width = embedding.original_size_hw
        budget.take_masks(instance.field, masks, height * width, side)
        _check_prompts(instance, width, height, checkpoint)
        return Prepared(
            instance=instance, digest=digest, image=None, embedding=embedding, settings=settings
        )
    if data is None:
        raise ImageNotKept(
            f"{field}: the server no longer has this image (or another replica has it); send the "
            "image itself, once"
        )
    pixels = header_pixels(data) or 0
    if pixels > limits.max_pixels:
        pixels = 0  # decoding refuses it, before it decodes anything, with an error of its own
    if room is not None and not room.take(pixels):
        return instance
    try:
        budget.take_pixels(field, pixels)
        budget.take_masks(instance.field, masks or 1, pixels, side)
        image = decode_image(data, field, max_pixels=limits.max_pixels)
        height, width = image.shape[:2]
        _check_prompts(instance, width, height, checkpoint)
    except BaseException:
        if room is not None:
            room.give(pixels)
        raise
    return Prepared(
        instance=instance,
        digest=digest,
        image=image,
        embedding=None,
        settings=settings,
        reserved=pixels if room is not None else 0,
    )


def _source(instance: Instance) -> str:
    """The field that names the image."""
    if instance.image is not None:
        return "image"
    return "image_id" if instance.image_id else "image_uri"


def _content(instance: Instance, field: str, limits: ServingSettings) -> bytes | None:
    """The image file, or ``None`` where the request has its ``image_id`` alone."""
    if instance.image is not None or instance.image_id:
        return instance.image
    return read_object(instance.image_uri, limits.max_image_bytes, field)


def _check_prompts(
    instance: Instance, width: int, height: int, checkpoint: LoadedCheckpoint
) -> None:
    for number, prompt in enumerate(instance.prompts):
        suffix = f".objects[{number}]" if instance.several else ""
        prompt.check_inside(width, height, instance.field + suffix)
        checkpoint.family.check_prompt(prompt, instance.field + suffix)
    mask_side = checkpoint.architecture.mask_input_size
    for logits in instance.mask_inputs:
        if logits.shape != (1, mask_side, mask_side):
            raise RequestError(
                f"{instance.field}.mask_input: expected shape (1, {mask_side}, {mask_side}), "
                f"got {logits.shape}"
            )
