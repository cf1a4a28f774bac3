"""Images in, masks out: one loaded network, used by the container, the pipeline and the scripts.

The engine keeps no state of a request. What belongs to an image travels in an :class:`Embedding`,
so threads may share an engine and a caller may keep embeddings as long as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.checkpoints import LoadedCheckpoint, load_checkpoint
from serving.sam.embedding import Embedding
from serving.sam.errors import ParameterError
from serving.sam.images import RgbImage
from serving.sam.known_checkpoints import CheckpointEntry
from serving.sam.machine.computing import computing
from serving.sam.machine.devices import Precision, choose_device, choose_precision
from serving.sam.masks import OUTPUT_MODES, MaskRecord, OutputMode, in_output_mode
from serving.sam.prompts import Prompt

if TYPE_CHECKING:
    from serving.sam.network import Network
    from serving.sam.prompted_masks import Prediction


class Engine:
    """Segment Anything on one device.

    The engine takes the loaded network over and moves it to the device, so load a checkpoint anew
    for an engine on a second device.

    Attributes:
        checkpoint: the loaded network and its origin.
        device: where it computes.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """

    def __init__(
        self, checkpoint: LoadedCheckpoint, *, device: str = "auto", precision: Precision = "auto"
    ) -> None:
        from serving.sam.network import build_network

        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.checkpoint = checkpoint
        self._network = build_network(checkpoint, self.device, self.precision)

    @classmethod
    def load(
        cls,
        path: str | Path,
        entry: CheckpointEntry | None = None,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        family: str = "",
    ) -> Engine:
        """Return an engine with the weights of a file.

        Args:
            path: the file, or the name of a known checkpoint that is on this machine
                (``vit_tiny`` always; ``vit_b`` once it is fetched).
            entry: what the file must be, as in ``load_checkpoint``.
            device: ``auto``, ``cpu`` or ``cuda``.
            precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
            family: of the network, as in ``load_checkpoint``.

        Raises:
            CheckpointError: the file cannot be used.
            DeviceError: the device or precision is not available.
        """
        available = choose_device(device)
        choose_precision(precision, available)
        checkpoint = load_checkpoint(path, entry, family)
        return cls(checkpoint, device=str(available), precision=precision)

    def exchange_precision(self, precision: Precision, network: Network | None = None) -> Network:
        """Compute in another precision from now on; return the network of the earlier one.

        Not while another thread uses the engine, and with no embedding of before.

        Args:
            precision: ``fp32``, ``bf16`` or ``fp16``.
            network: of an earlier exchange; by default the same weights in that precision.
        """
        from serving.sam.network import build_network

        earlier = self._network
        self.precision = choose_precision(precision, self.device)
        self._network = network or build_network(self.checkpoint, self.device, self.precision)
        return earlier

    def shrink(self, image: RgbImage) -> RgbImage:
        """What the network sees of an image (H, W, 3) uint8 RGB, as such an image: (h, w, 3).

        ``embed`` and ``generate`` make it themselves, unless they are handed it. It is what they do
        on the CPU whatever the device, so a reading thread may do it while a GPU computes.

        Raises:
            ParameterError: one side is too short for the network, or the image is no RGB image.
        """
        return self._network.embed.shrink(_checked(image))

    def embed(self, image: RgbImage, *, shrunk: RgbImage | None = None) -> Embedding:
        """Run the image encoder.

        Args:
            image: (H, W, 3) uint8 RGB.
            shrunk: what ``shrink`` returned of it.
        """
        with computing(self.device):
            features, frame = self._network.embed(_checked(image), shrunk)
            shared = self._network.decoder.prepare(features)
        return Embedding(features, frame, shared)

    def predict(
        self,
        embedding: Embedding,
        prompt: Prompt,
        *,
        multimask_output: bool,
        mask_input: NDArray[np.float32] | None = None,
    ) -> Prediction:
        """Return the masks of one prompt, as ``SamPredictor.predict`` gives them.

        Args:
            embedding: of the image that the prompt points into.
            prompt: points and box in pixels of the image.
            multimask_output: three candidates (best for one click) or one mask.
            mask_input: (1, 4G, 4G) float32 logits of an earlier prediction on this image.

        Raises:
            PromptError: the prompt lies outside the image, or is no box where one is needed.
            ParameterError: ``mask_input`` has another shape.
        """
        inputs = [] if mask_input is None else [mask_input]
        predictions = self.predictions(
            embedding, [prompt], multimask_output=multimask_output, mask_inputs=inputs
        )
        return next(prediction for _, prediction in predictions)

    def predictions(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        *,
        multimask_output: bool,
        mask_inputs: Sequence[NDArray[np.float32] | None] = (),
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield the masks of many prompts, each with its prompt's number.

        The decoder takes prompts of a kind together, so predictions come in no particular order.
        They come one by one, so a caller need not hold the masks of all.

        Args:
            embedding: of the image that the prompts point into.
            prompts: points and boxes in pixels of the image.
            multimask_output: three candidates each (best for one click) or one mask.
            mask_inputs: for each prompt (1, 4G, 4G) float32 logits of an earlier prediction on
                this image, or ``None``; or nothing at all.

        Raises:
            PromptError: a prompt lies outside the image, or is no box where one is needed.
            ParameterError: a mask has another shape.
        """
        from serving.sam.prompted_masks import check_mask_inputs, predict_prompts

        self._check_prompts(embedding, prompts)
        side = self.checkpoint.architecture.mask_input_size
        check_mask_inputs(len(prompts), mask_inputs, side)

        def decoded() -> Iterator[tuple[int, Prediction]]:
            predictions = predict_prompts(
                self._network,
                embedding,
                prompts,
                mask_inputs,
                multimask_output=multimask_output,
            )
            while True:
                # Entered anew for each: a generator must not leave the mode on in its caller.
                with computing(self.device):
                    prediction = next(predictions, None)
                if prediction is None:
                    return
                yield prediction

        return decoded()

    def segment(self, embedding: Embedding, prompts: Iterable[Prompt]) -> list[MaskRecord]:
        """Return the best mask of each prompt, in order.

        A single point is ambiguous, so the network makes three candidates and the one that it rates
        best stays; several points or a box name one object and get one mask.

        Raises:
            PromptError: a prompt lies outside the image, or is no box where one is needed.
        """
        from serving.sam.prompted_masks import segment_prompts

        prompts = list(prompts)
        self._check_prompts(embedding, prompts)
        with computing(self.device):
            return segment_prompts(self._network, embedding, prompts)

    @overload
    def generate(
        self,
        image: RgbImage,
        settings: AutomaticSettings | None = None,
        *,
        output_mode: Literal["coco_rle"] = "coco_rle",
        before_work: Callable[[], None] = ...,
        on_progress: Callable[[float], None] = ...,
        shrunk: RgbImage | None = ...,
    ) -> list[MaskRecord]: ...

    @overload
    def generate(
        self,
        image: RgbImage,
        settings: AutomaticSettings | None = None,
        *,
        output_mode: OutputMode,
        before_work: Callable[[], None] = ...,
        on_progress: Callable[[float], None] = ...,
        shrunk: RgbImage | None = ...,
    ) -> list[Any]: ...

    def generate(
        self,
        image: RgbImage,
        settings: AutomaticSettings | None = None,
        *,
        output_mode: OutputMode = "coco_rle",
        before_work: Callable[[], None] = lambda: None,
        on_progress: Callable[[float], None] = lambda _: None,
        shrunk: RgbImage | None = None,
    ) -> list[Any]:
        """Return the masks of everything in the image, best first.

        The official generator leaves them in the order of its last suppression of duplicates,
        which is another one with ``min_mask_region_area`` or crops; the masks are the same.

        Args:
            image: (H, W, 3) uint8 RGB.
            settings: by default those that suit the checkpoint.
            output_mode: of each record's ``segmentation``, as in ``SamAutomaticMaskGenerator``;
                ``binary_mask``, the default there, takes the memory of the image for every mask.
            before_work: called before every crop and every batch of points; what it raises ends
                the work, as a deadline does.
            on_progress: called after every batch of points with the share that is done, 0-1.
            shrunk: what ``shrink`` returned of the image.

        Raises:
            ParameterError: the output mode is unknown, the image is no RGB image, or the network
                was trained with boxes alone.
        """
        from serving.sam.generator import generate

        if output_mode not in OUTPUT_MODES:
            raise ParameterError(
                f"output_mode: expected one of {', '.join(OUTPUT_MODES)}, got {output_mode!r}"
            )
        self.checkpoint.family.check_automatic("image")
        settings = settings or self.checkpoint.automatic
        with computing(self.device) as look_for_free_cores:

            def before() -> None:
                look_for_free_cores()
                before_work()

            records = generate(
                self._network, _checked(image), settings, before, on_progress, shrunk
            )
        return in_output_mode(records, output_mode)

    def _check_prompts(self, embedding: Embedding, prompts: Sequence[Prompt]) -> None:
        height, width = embedding.original_size_hw
        for number, prompt in enumerate(prompts):
            field = "prompt" if len(prompts) == 1 else f"prompt {number}"
            prompt.check_inside(width, height, field)
            self.checkpoint.family.check_prompt(prompt, field)


def _checked(image: RgbImage) -> RgbImage:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ParameterError(
            f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}"
        )
    return image
